package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies reads addresses and networks of reverse proxies.
func Proxies(words []string) (all []netip.Prefix, err error) {
	for _, word := range words {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			a, aerr := netip.ParseAddr(word)
			if aerr != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network (10.0.0.0/8)", word)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Behind tells next who a request is from where it came through proxies: the
// last address in X-Forwarded-For that is not a proxy's own. What anybody else
// writes there is not believed.
func Behind(proxies []netip.Prefix, next http.Handler) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !trusted(from.Addr().Unmap()) {
			next.ServeHTTP(w, r)
			return
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break // nothing beyond it can be believed
			}
			r.RemoteAddr = net.JoinHostPort(a.Unmap().String(), "0")
			if !trusted(a.Unmap()) {
				break
			}
		}
		next.ServeHTTP(w, r)
	})
}
