package artifacts

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxMarkerDepth bounds the nested brackets of an environment marker.
const maxMarkerDepth = 20

var (
	markerToken = regexp.MustCompile(`^(?:"[^"\n]*"|'[^'\n]*'|===|==|>=|<=|!=|~=|>|<|\(|\)|[A-Za-z_][A-Za-z_.]*)`)
	// markerVariables are those of PEP 508 and, with their current names, of PEP 345.
	markerVariables = map[string]string{
		"implementation_version": "", "platform_python_implementation": "", "implementation_name": "",
		"python_full_version": "", "platform_release": "", "platform_version": "", "platform_machine": "",
		"platform_system": "", "python_version": "", "sys_platform": "", "os_name": "", "extra": "",
		"os.name": "os_name", "sys.platform": "sys_platform", "platform.version": "platform_version",
		"platform.machine": "platform_machine", "platform.python_implementation": "platform_python_implementation",
		"python_implementation": "platform_python_implementation",
	}
)

// formatMarker checks an environment marker (PEP 508) and writes it with single spaces and double
// quotes: `python_version<'3.8'` becomes `python_version < "3.8"`.
func formatMarker(marker string) (string, error) {
	p := markerParser{rest: strings.TrimSpace(marker)}
	terms, err := p.expression(0)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q is not expected", clip(p.rest))
	}
	if err != nil {
		return "", fmt.Errorf("its marker %q is not valid: %w", clip(marker), err)
	}
	return strings.Join(terms, " "), nil
}

type markerParser struct{ rest string }

// next takes a token off the front; it is "" at the end.
func (p *markerParser) next() (string, error) {
	if p.rest == "" {
		return "", nil
	}
	token := markerToken.FindString(p.rest)
	if token == "" {
		return "", fmt.Errorf("%q is not expected", clip(p.rest))
	}
	p.rest = strings.TrimSpace(p.rest[len(token):])
	return token, nil
}

// expression returns comparisons and the "and" and "or" between them. Brackets around a single
// comparison, or around the whole, go.
func (p *markerParser) expression(depth int) ([]string, error) {
	if depth > maxMarkerDepth {
		return nil, errors.New("it nests too deeply")
	}
	var terms []string
	for {
		if strings.HasPrefix(p.rest, "(") {
			p.rest = strings.TrimSpace(p.rest[1:])
			inner, err := p.expression(depth + 1)
			if err != nil {
				return nil, err
			}
			if token, err := p.next(); err != nil || token != ")" {
				return nil, errors.New("a bracket is not closed")
			}
			whole := len(terms) == 0 && (p.rest == "" || p.rest[0] == ')')
			if len(inner) == 1 || whole {
				terms = append(terms, inner...)
			} else {
				terms = append(terms, "("+strings.Join(inner, " ")+")")
			}
		} else {
			c, err := p.comparison()
			if err != nil {
				return nil, err
			}
			terms = append(terms, c)
		}
		if word := strings.ToLower(markerToken.FindString(p.rest)); word != "and" && word != "or" {
			return terms, nil
		}
		word, err := p.next()
		if err != nil {
			return nil, err
		}
		terms = append(terms, word)
	}
}

func (p *markerParser) comparison() (string, error) {
	left, err := p.operand()
	if err != nil {
		return "", err
	}
	operator, err := p.next()
	if err != nil {
		return "", err
	}
	switch operator {
	case "not":
		if in, err := p.next(); err != nil || in != "in" {
			return "", errors.New(`"not" lacks its "in"`)
		}
		operator = "not in"
	case "in", "===", "==", ">=", "<=", "!=", "~=", ">", "<":
	default:
		return "", fmt.Errorf("%q is no comparison", clip(operator))
	}
	right, err := p.operand()
	if err != nil {
		return "", err
	}
	if left[0] == '"' && right[0] == '"' {
		return "", errors.New("it compares two constants")
	}
	return left + " " + operator + " " + right, nil
}

func (p *markerParser) operand() (string, error) {
	token, err := p.next()
	if err != nil {
		return "", err
	}
	if token != "" && (token[0] == '"' || token[0] == '\'') {
		return `"` + token[1:len(token)-1] + `"`, nil
	}
	current, known := markerVariables[token]
	if !known {
		return "", fmt.Errorf("%q is no variable of a marker", clip(token))
	}
	return orElse(current, token), nil
}
