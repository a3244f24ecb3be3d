package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Example prints c as a file with a comment for every key. Parsing it gives c
// again.
func Example(c Config) string {
	var b strings.Builder
	writeStruct(&b, reflect.ValueOf(c), "")
	return b.String()
}

func writeStruct(b *strings.Builder, v reflect.Value, indent string) {
	for f, fv := range v.Fields() {
		name, doc := f.Tag.Get("yaml"), f.Tag.Get("doc")
		if doc != "" {
			fmt.Fprintf(b, "%s# %s\n", indent, doc)
		}
		switch {
		case fv.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			writeStruct(b, fv, indent+"  ")
		case fv.Kind() == reflect.Map:
			if fv.Len() == 0 {
				fmt.Fprintf(b, "%s%s: {}\n", indent, name)
				continue
			}
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			keys := fv.MapKeys()
			slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
			for _, key := range keys {
				fmt.Fprintf(b, "%s  %s:\n", indent, key)
				writeStruct(b, fv.MapIndex(key), indent+"    ")
			}
		case fv.Type() == reflect.TypeFor[time.Duration]():
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, fv.Interface())
		case fv.Kind() == reflect.Slice && fv.Len() > 0 && fv.Type().Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			for i := range fv.Len() {
				fmt.Fprintf(b, "%s  -\n", indent)
				writeStruct(b, fv.Index(i), indent+"    ")
			}
		case fv.Kind() == reflect.Slice && fv.Type().Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s: []\n", indent, name)
		case fv.Kind() == reflect.Slice:
			fmt.Fprintf(b, "%s%s: [%s]\n", indent, name, strings.Join(fv.Interface().([]string), ", "))
		case fv.Kind() == reflect.String:
			fmt.Fprintf(b, "%s%s: %q\n", indent, name, fv.String())
		default:
			fmt.Fprintf(b, "%s%s: %v\n", indent, name, fv.Interface())
		}
	}
}
