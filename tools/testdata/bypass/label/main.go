// want: missing method Label
package main

import (
	"deputy/authz"
	"deputy/tools"
)

type unlabelled struct{}

func (unlabelled) Object() authz.Object           { return "tool:x" }
func (unlabelled) Facts(authz.Object) authz.Facts { return nil }

// A result without a label is no result.
func main() {
	_ = tools.Items(unlabelled{})
}
