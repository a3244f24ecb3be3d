package gmail

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"deputy/tools"

	"golang.org/x/net/idna"
)

// maxRecipients bounds To, Cc and Bcc together.
const maxRecipients = 100

// address is one recipient. Its address is plain ASCII and needs no quotes.
type address struct{ Name, Addr string }

var (
	localPart = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+([.][A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
	domain    = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])$`)
)

// plainAddr returns an address in the one form deputy sends, with an
// international domain in ASCII, or "" if it has none.
func plainAddr(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	if at < 1 || at > 64 || len(addr) > 254 || !localPart.MatchString(addr[:at]) {
		return ""
	}
	host := addr[at+1:]
	if !ascii(host) {
		var err error
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return ""
		}
	}
	if !domain.MatchString(host) {
		return ""
	}
	return addr[:at+1] + host
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// recipients reads a field's addresses, one an item.
func recipients(field string, list []string) (out []address, err error) {
	if len(list) > maxRecipients {
		return nil, tools.BadInput(field, fmt.Sprintf("has %d addresses; a mail may have %d recipients in all", len(list), maxRecipients))
	}
	for _, item := range list {
		if err := checkLine(field, item); err != nil {
			return nil, err
		}
		parsed, err := mail.ParseAddress(item)
		if err != nil {
			return nil, tools.BadInput(field, fmt.Sprintf("%q is not a mail address; give each as bo@example.com or Bo <bo@example.com>", item))
		}
		a := address{parsed.Name, plainAddr(parsed.Address)}
		if a.Addr == "" {
			return nil, tools.BadInput(field, fmt.Sprintf("%q is not an address deputy writes to", item))
		}
		if err := checkLine(field, a.Name); err != nil {
			return nil, err // it was hidden in an encoded word
		}
		out = append(out, a)
	}
	return out, nil
}

// maxLine bounds what goes into one header field or address.
const maxLine = 1000

// checkLine refuses what could end a header field, or print as nothing.
func checkLine(field, s string) error {
	if len(s) > maxLine {
		return tools.BadInput(field, fmt.Sprintf("is longer than %d bytes", maxLine))
	}
	if !utf8.ValidString(s) {
		return tools.BadInput(field, "is not UTF-8")
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		return tools.BadInput(field, fmt.Sprintf("contains the control character U+%04X; it must be one line of text", r))
	}
	return nil
}

// others reads the addresses of a received header field, without names: those
// are somebody else's words. What cannot be written to is left out.
func others(field string) (out []address) {
	list, err := (&mail.AddressParser{WordDecoder: &words}).ParseList(field)
	if err != nil {
		return nil
	}
	for _, a := range list {
		if addr := plainAddr(a.Address); addr != "" {
			out = append(out, address{Addr: addr})
		}
	}
	return out
}

// without removes those in not from list, and repetitions.
func without(list []address, not ...address) (out []address) {
	seen := map[string]bool{}
	for _, a := range not {
		seen[strings.ToLower(a.Addr)] = true
	}
	for _, a := range list {
		if key := strings.ToLower(a.Addr); !seen[key] {
			seen[key] = true
			out = append(out, a)
		}
	}
	return out
}

// String is the address as a person reads it. A name that is more than words
// stands in quotes, so that it cannot pose as a further address.
func (a address) String() string {
	if a.Name == "" {
		return a.Addr
	}
	name := a.Name
	if strings.IndexFunc(name, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && r != ' ' }) >= 0 {
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return name + " <" + a.Addr + ">"
}

func joinAddresses(list []address) string {
	shown := make([]string, len(list))
	for i, a := range list {
		shown[i] = a.String()
	}
	return strings.Join(shown, ", ")
}

var addressLike = regexp.MustCompile(`@|[\pL\pN]\.\pL{2,}`)

// suspicions are what a person should not overlook about an address.
func (a address) suspicions() (out []string) {
	if a.Name != "" && addressLike.MatchString(a.Name) && !strings.EqualFold(a.Name, a.Addr) {
		out = append(out, fmt.Sprintf("%q is only a name: the mail goes to %s.", a.Name, a.Addr))
	}
	host := a.Addr[strings.LastIndexByte(a.Addr, '@')+1:]
	if !strings.Contains("."+strings.ToLower(host), ".xn--") {
		return out
	}
	read, err := idna.Punycode.ToUnicode(host)
	switch {
	case err != nil || ascii(read):
		out = append(out, fmt.Sprintf("The domain %s is in a code that cannot be read.", host))
	case mixesScripts(read):
		out = append(out, fmt.Sprintf("The domain %s reads as %s and mixes alphabets: some of its letters look like others.", host, read))
	default:
		out = append(out, fmt.Sprintf("The domain %s reads as %s, whose letters may look like others.", host, read))
	}
	return out
}

// lookalikes are the scripts that share shapes of letters.
var lookalikes = []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee}

// mixesScripts reports whether one label of a domain has letters of two
// scripts that share shapes.
func mixesScripts(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		n := 0
		for _, script := range lookalikes {
			if strings.IndexFunc(label, func(r rune) bool { return unicode.Is(script, r) }) >= 0 {
				n++
			}
		}
		if n > 1 {
			return true
		}
	}
	return false
}
