// want: cannot refer to unexported field spec in struct literal
package main

import "deputy/tools"

// A tool comes from Read or Write.
func main() {
	_ = tools.Tool{spec: tools.Spec{Name: "gmail_anything"}}
}
