package authz

import "unicode"

// Invisible reports whether r changes what a reader sees without being seen:
// controls, bidirectional overrides, zero-width characters, soft hyphens,
// variation selectors and tag characters (Unicode Technical Report #36).
// Newline and tab are text.
//
// Approval pages show such characters escaped; results for a model drop them.
func Invisible(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return true
	case unicode.Is(unicode.Variation_Selector, r):
		return true
	case r == 0x034f || r == 0x115f || r == 0x1160 || r == 0x17b4 || r == 0x17b5 || r == 0x3164 || r == 0xffa0 || r == 0x2800:
		return true // joiners and fillers that print as nothing
	}
	return false
}
