package gmail

import (
	"mime"
	"regexp"
	"strings"

	"golang.org/x/net/idna"

	"deputy/authz"
)

// posesAsAddress finds what could be taken for an address, in a field that nobody
// promises to be well-formed: a rule on a domain must not be escaped by a field
// that parsers stumble over.
var posesAsAddress = regexp.MustCompile(`[^\s<>()\[\],;:"@\\]+@[^\s<>()\[\],;:"@\\]+`)

// senders are the addresses that a message claims to be from, in small letters
// and international domains in ASCII.
func (m wireMessage) senders() (out []string) {
	var decoder mime.WordDecoder
	for _, h := range m.Payload.Headers {
		if !strings.EqualFold(h.Name, "From") && !strings.EqualFold(h.Name, "Sender") {
			continue
		}
		fields := []string{h.Value}
		if decoded, err := decoder.DecodeHeader(h.Value); err == nil && decoded != h.Value {
			fields = append(fields, decoded)
		}
		for _, f := range fields {
			for _, found := range posesAsAddress.FindAllString(f, maxRecipients) {
				if s := senderOf(found); s != "" {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// senderOf is an address in the one form that rules have it, or nothing if it
// has no domain. Of one that is too long for a mail the end counts.
func senderOf(addr string) string {
	local, host, _ := strings.Cut(strings.ToLower(addr), "@")
	if host = domainOf(host); host == "" {
		return ""
	}
	if len(local) > maxLocal {
		local = ""
	}
	return local + "@" + host
}

// A local part has 64 bytes at most, a domain 253 (RFC 5321 §4.5.3.1).
const maxLocal, maxHost = 64, 253

// domainOf is a domain in the one form that rules have it.
func domainOf(host string) string {
	if a, err := idna.Lookup.ToASCII(strings.Trim(host, ".")); err == nil {
		host = a
	}
	host = strings.ToLower(host)
	if cut := len(host) - maxHost; cut > 0 {
		_, host, _ = strings.Cut(host[cut:], ".")
	}
	return strings.Trim(host, ".")
}

// sentBy places an object under its sender, and that under its domains.
func sentBy(o authz.Object, sender string) authz.Facts {
	from := authz.NewObject("mail_address", sender)
	_, host, _ := strings.Cut(sender, "@")
	at := authz.NewObject("mail_domain", host)
	facts := authz.Facts{o.Is("sender", from), from.Is("domain", at)}
	if parts := strings.Split(host, "."); len(parts) > maxDomainParts {
		host = strings.Join(parts[len(parts)-maxDomainParts:], ".")
		at = authz.NewObject("mail_domain", host)
		facts = append(facts, from.Is("domain", at))
	}
	for more := true; more; {
		if _, host, more = strings.Cut(host, "."); more {
			up := authz.NewObject("mail_domain", host)
			facts = append(facts, at.Is("parent", up))
			at = up
		}
	}
	return facts
}

// maxDomainParts is below the depth to which rules are followed. Of a longer
// domain the last parts count, which are its owner's, and the whole.
const maxDomainParts = 10

// spell writes an object as the functions above do.
func spell(o authz.Object) authz.Object {
	switch o.Type() {
	case "mail_domain":
		return authz.Object("mail_domain:" + domainOf(o.ID()))
	case "mail_address":
		return authz.Object("mail_address:" + senderOf(o.ID()))
	}
	return o
}
