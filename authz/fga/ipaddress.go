package fga

import (
	"fmt"
	"net/netip"
	"reflect"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	celref "github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// ipaddress is OpenFGA's addition to CEL: ipaddress("10.0.0.1"), and
// addr.in_cidr("10.0.0.0/8"). An IPv4 address in IPv6 notation is the IPv4
// address.
type ipaddress struct{ addr netip.Addr }

var (
	ipaddressType = cel.ObjectType("IPAddress")
	ipaddressKind = cel.ObjectType("IPAddress", traits.ReceiverType)
)

// environment is CEL's standard one with ipaddress.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.EagerlyValidateDeclarations(true),
		cel.Function("ipaddress", cel.Overload("string_to_ipaddress", []*cel.Type{cel.StringType}, ipaddressKind,
			cel.UnaryBinding(func(v celref.Val) celref.Val {
				s, ok := v.Value().(string)
				if !ok {
					return types.MaybeNoSuchOverloadErr(v)
				}
				ip, err := parseIPAddress(s)
				if err != nil {
					return types.NewErr("%s", err)
				}
				return ip
			}))),
		cel.Function("in_cidr", cel.MemberOverload("ipaddr_in_cidr", []*cel.Type{ipaddressType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(inCIDR))),
	)
})

func parseIPAddress(s string) (ipaddress, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return ipaddress{}, fmt.Errorf("expected a well-formed IP address, but found '%s'", s)
	}
	return ipaddress{addr.Unmap()}, nil
}

func toIPAddress(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("expected an IP address string, but found '%T'", v)
	}
	return parseIPAddress(s)
}

func inCIDR(address, cidr celref.Val) celref.Val {
	s, ok := cidr.Value().(string)
	if !ok {
		return types.NewErr("a CIDR string is required for comparison")
	}
	ip, ok := address.(ipaddress)
	if !ok {
		return types.NewErr("an IP address is required for comparison")
	}
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return types.NewErr("'%s' is a malformed CIDR string", s)
	}
	if network.Addr().Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	return types.Bool(network.Contains(ip.addr))
}

// The methods of CEL's values.

func (ip ipaddress) ConvertToNative(want reflect.Type) (any, error) {
	switch want {
	case reflect.TypeFor[ipaddress]():
		return ip, nil
	case reflect.TypeFor[string]():
		return ip.addr.String(), nil
	}
	return nil, fmt.Errorf("an IP address is no %s", want)
}

func (ip ipaddress) ConvertToType(want celref.Type) celref.Val {
	switch want {
	case types.StringType:
		return types.String(ip.addr.String())
	case types.TypeType:
		return ipaddressKind
	}
	return types.NewErr("an IP address is no %s", want)
}

func (ip ipaddress) Equal(other celref.Val) celref.Val {
	o, ok := other.(ipaddress)
	if !ok {
		return types.NoSuchOverloadErr()
	}
	return types.Bool(ip == o)
}

func (ip ipaddress) Type() celref.Type { return ipaddressKind }
func (ip ipaddress) Value() any        { return ip }
