package fabric

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// normal brings a decoded value, in place where it is a container, to the forms that the rest of
// the package knows: null members go, since a null is an absence to every service; Go's numbers become
// json.Number. Nothing is written to what is normal already, so documents may share parts.
func normal(v any) (n any, changed bool) {
	switch v := v.(type) {
	case nil, bool, string, json.Number, Ref:
		return v, false
	case map[string]any:
		for k, e := range v {
			if n, changed := normal(e); n == nil {
				delete(v, k)
			} else if changed {
				v[k] = n
			}
		}
		return v, false
	case []any:
		for i, e := range v {
			if n, changed := normal(e); changed {
				v[i] = n
			}
		}
		return v, false
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64), true // no JSON number; the fabric will refuse it by name
		}
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64)), true
	case int:
		return json.Number(strconv.Itoa(v)), true
	case int64:
		return json.Number(strconv.FormatInt(v, 10)), true
	case uint64:
		return json.Number(strconv.FormatUint(v, 10)), true
	}
	b, err := json.Marshal(v) // named strings, typed lists and the like
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		err = dec.Decode(&n)
	}
	if err != nil {
		return fmt.Sprint(v), true
	}
	n, _ = normal(n)
	return n, true
}

// same reports that two normal values are the same JSON, numbers being numbers.
func same(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case map[string]any:
		bm, ok := b.(map[string]any)
		if !ok || len(a) != len(bm) {
			return false
		}
		for k, v := range a {
			w, in := bm[k]
			if !in || !same(v, w) {
				return false
			}
		}
		return true
	case []any:
		bl, ok := b.([]any)
		if !ok || len(a) != len(bl) {
			return false
		}
		for i := range a {
			if !same(a[i], bl[i]) {
				return false
			}
		}
		return true
	}
	return scalarSame(a, b)
}

// scalarSame reports that both are scalars, neither is absent, and they are the same.
func scalarSame(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || canonicalNumber(a) == canonicalNumber(b))
	case Ref:
		b, ok := b.(Ref)
		return ok && a == b
	}
	return false
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// plainDigits is the longest a number is written without an exponent.
const plainDigits = 400

// canonicalNumber spells equal numbers equally, exactly and at a cost linear in the text: 1, 1.0
// and 10e-1 are one number. Very large and very small ones are written as digits and an exponent.
func canonicalNumber(n json.Number) string {
	s := string(n)
	if len(s) < plainDigits && !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			return "0"
		}
		return s
	}
	sign, rest := "", s
	if strings.HasPrefix(s, "-") {
		sign, rest = "-", s[1:]
	}
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(rest), "e")
	exp := 0
	if hasExponent {
		e, err := strconv.ParseInt(exponent, 10, 48) // with room for what the fraction takes off
		if err != nil {
			if strings.Trim(mantissa, "0.") == "" {
				return "0"
			}
			return strings.ToLower(s)
		}
		exp = int(e)
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exp -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	trimmed := strings.TrimRight(digits, "0")
	exp += len(digits) - len(trimmed)
	switch point := len(trimmed) + exp; { // digits before the decimal point
	case exp >= 0 && point <= plainDigits:
		return sign + trimmed + strings.Repeat("0", exp)
	case exp < 0 && point > 0 && len(trimmed) <= plainDigits:
		return sign + trimmed[:point] + "." + trimmed[point:]
	case exp < 0 && point <= 0 && point > -plainDigits:
		return sign + "0." + strings.Repeat("0", -point) + trimmed
	}
	return sign + trimmed + "e" + strconv.Itoa(exp)
}
