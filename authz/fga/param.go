package fga

import (
	"fmt"
	"math/big"
	"time"

	"github.com/google/cel-go/cel"
	openfgav1 "github.com/openfga/api/proto/openfga/v1"
)

// param is the type of a condition's parameter: how CEL knows it, and how a
// JSON value becomes one.
type param struct {
	cel     *cel.Type
	convert func(any) (any, error)
}

var simple = map[openfgav1.ConditionParamTypeRef_TypeName]param{
	openfgav1.ConditionParamTypeRef_TYPE_NAME_ANY:       {cel.AnyType, func(v any) (any, error) { return v, nil }},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_BOOL:      {cel.BoolType, as[bool]},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_STRING:    {cel.StringType, as[string]},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_INT:       {cel.IntType, toInt},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_UINT:      {cel.UintType, toUint},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_DOUBLE:    {cel.DoubleType, toDouble},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_DURATION:  {cel.DurationType, toDuration},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_TIMESTAMP: {cel.TimestampType, toTimestamp},
	openfgav1.ConditionParamTypeRef_TYPE_NAME_IPADDRESS: {ipaddressType, toIPAddress},
}

// typeNames are the same types as an inline expression spells them.
var typeNames = map[string]openfgav1.ConditionParamTypeRef_TypeName{
	"any":       openfgav1.ConditionParamTypeRef_TYPE_NAME_ANY,
	"bool":      openfgav1.ConditionParamTypeRef_TYPE_NAME_BOOL,
	"string":    openfgav1.ConditionParamTypeRef_TYPE_NAME_STRING,
	"int":       openfgav1.ConditionParamTypeRef_TYPE_NAME_INT,
	"uint":      openfgav1.ConditionParamTypeRef_TYPE_NAME_UINT,
	"double":    openfgav1.ConditionParamTypeRef_TYPE_NAME_DOUBLE,
	"duration":  openfgav1.ConditionParamTypeRef_TYPE_NAME_DURATION,
	"timestamp": openfgav1.ConditionParamTypeRef_TYPE_NAME_TIMESTAMP,
	"ipaddress": openfgav1.ConditionParamTypeRef_TYPE_NAME_IPADDRESS,
	"map":       openfgav1.ConditionParamTypeRef_TYPE_NAME_MAP,
	"list":      openfgav1.ConditionParamTypeRef_TYPE_NAME_LIST,
}

func paramOf(ref *openfgav1.ConditionParamTypeRef) (param, error) {
	generics := ref.GetGenericTypes()
	if p, ok := simple[ref.GetTypeName()]; ok {
		if len(generics) != 0 {
			return param{}, fmt.Errorf("type %s takes no generic type", ref.GetTypeName())
		}
		return p, nil
	}
	isMap := ref.GetTypeName() == openfgav1.ConditionParamTypeRef_TYPE_NAME_MAP
	if !isMap && ref.GetTypeName() != openfgav1.ConditionParamTypeRef_TYPE_NAME_LIST {
		return param{}, fmt.Errorf("unknown parameter type %s", ref.GetTypeName())
	}
	if len(generics) != 1 {
		return param{}, fmt.Errorf("type %s requires one generic type, found %d", ref.GetTypeName(), len(generics))
	}
	item, err := paramOf(generics[0])
	if err != nil {
		return param{}, err
	}
	if isMap {
		return param{cel.MapType(cel.StringType, item.cel), item.toMap}, nil
	}
	return param{cel.ListType(item.cel), item.toList}, nil
}

func (item param) toMap(v any) (any, error) {
	in, err := as[map[string]any](v)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for name, x := range in.(map[string]any) {
		if out[name], err = item.convert(x); err != nil {
			return nil, fmt.Errorf("key '%s': %w", name, err)
		}
	}
	return out, nil
}

func (item param) toList(v any) (any, error) {
	in, err := as[[]any](v)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(in.([]any)))
	for i, x := range in.([]any) {
		if out[i], err = item.convert(x); err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
	}
	return out, nil
}

func as[T any](v any) (any, error) {
	if _, ok := v.(T); !ok {
		return nil, fmt.Errorf("expected type '%T', but found '%T'", *new(T), v)
	}
	return v, nil
}

// number takes JSON's only number, and text, for numbers that it cannot hold.
func number(v any) (*big.Float, error) {
	switch v := v.(type) {
	case float64:
		return big.NewFloat(v), nil
	case string:
		f, _, err := big.ParseFloat(v, 10, 64, 0)
		if err != nil {
			return nil, fmt.Errorf("expected a number, but found '%s'", v)
		}
		return f, nil
	}
	return nil, fmt.Errorf("expected a number, but found '%T'", v)
}

func toInt(v any) (any, error) {
	f, err := number(v)
	if err != nil {
		return nil, err
	}
	if !f.IsInt() {
		return nil, fmt.Errorf("expected an int value, but found '%s'", f)
	}
	n, _ := f.Int64()
	return n, nil
}

func toUint(v any) (any, error) {
	n, err := toInt(v)
	if err != nil {
		return nil, err
	}
	if n.(int64) < 0 {
		return nil, fmt.Errorf("expected a uint value, but found '%d'", n)
	}
	return uint64(n.(int64)), nil
}

func toDouble(v any) (any, error) {
	if _, ok := v.(float64); ok {
		return v, nil
	}
	f, err := number(v)
	if err != nil {
		return nil, err
	}
	n, accuracy := f.Float64()
	if accuracy != big.Exact {
		return nil, fmt.Errorf("number cannot be represented as a float64: %s", f)
	}
	return n, nil
}

func toDuration(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("expected a duration string, but found '%T'", v)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return nil, fmt.Errorf("expected a valid duration string, but found '%s'", s)
	}
	return d, nil
}

func toTimestamp(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("expected an RFC 3339 timestamp string, but found '%T'", v)
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, fmt.Errorf("expected an RFC 3339 timestamp string, but found '%s'", s)
	}
	return t, nil
}
