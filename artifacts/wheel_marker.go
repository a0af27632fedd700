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
	markerToken = regexp.MustCompile(`^(?:"[^"\n]*"|'[^'\n]*'|===|==|>=|<=|!=|~=|>|<|\(|\)|not in|[A-Za-z_][A-Za-z_.]*)`)
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
	return p.format()
}

// checkCondition checks the marker in the name of an extra. Other than that of a requirement it is evaluated
// when a wheel is built, so that each comparison has to have a meaning.
func checkCondition(marker string) error {
	p := markerParser{rest: strings.TrimSpace(marker)}
	if _, err := p.format(); err != nil {
		return err
	}
	for _, c := range p.comparisons {
		left, operator, right := c[0], c[1], c[2]
		if left == "extra" || isConstant(left) && right == "extra" {
			return fmt.Errorf("its marker %q asks for an extra, which is not known yet", clip(marker))
		}
		if isConstant(left) && isConstant(right) {
			return fmt.Errorf("its marker %q compares two constants", clip(marker))
		}
		value := strings.Trim(right, `"`)
		if !isConstant(right) && strings.Contains(right, "version") && isConstant(left) {
			value = "3.11" // or another one, like it
		}
		if operator == "~=" && !compatible.MatchString(value) || operator == "===" && len(strings.Fields(value)) > 1 {
			return fmt.Errorf("its marker %q compares with %s, which is no version", clip(marker), clip(right))
		}
	}
	return nil
}

var compatible = regexp.MustCompile(`^\s*` + compatibleVersion + `\s*$`)

func isConstant(operand string) bool { return strings.HasPrefix(operand, `"`) }

type markerParser struct {
	rest        string
	comparisons [][3]string // what was compared, as written: left, operator, right
}

func (p *markerParser) format() (string, error) {
	marker := p.rest
	terms, err := p.expression(0)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q is not expected", clip(p.rest))
	}
	if err != nil {
		return "", fmt.Errorf("its marker %q is not valid: %w", clip(marker), err)
	}
	return strings.Join(terms, " "), nil
}

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
		if word := markerToken.FindString(p.rest); word != "and" && word != "or" {
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
	case "not in", "in", "===", "==", ">=", "<=", "!=", "~=", ">", "<":
	default:
		return "", fmt.Errorf("%q is no comparison", clip(operator))
	}
	right, err := p.operand()
	if err != nil {
		return "", err
	}
	p.comparisons = append(p.comparisons, [3]string{left, operator, right})
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
