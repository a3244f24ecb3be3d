// want: f.items undefined
package main

import (
	"deputy/authz"
	"deputy/tools"
)

type thing struct{}

func (thing) Object() authz.Object           { return "tool:x" }
func (thing) Facts(authz.Object) authz.Facts { return nil }
func (thing) Label() authz.Label             { return authz.Label{} }

// What a handler found, only the guard opens.
func main() {
	f := tools.Items(thing{})
	_ = f.items
}
