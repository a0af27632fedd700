package databricks

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
)

// metricsOff keeps the tool's library from reporting runs to an address that is not there any more. The
// oldest jobs have it without the prefix.
const (
	metricsOff        = "spark." + unprefixedMetrics
	unprefixedMetrics = "prophecy.execution.metrics.disabled"
)

// strip takes out of the clusters' settings what makes a running job call the authoring tool, and switches
// its reports off where there was any of that.
func (n *rendering) strip(d *draft) {
	for _, c := range clustersOf(d.at, d.request) {
		stripped, unprefixed := false, false
		for _, part := range []string{"spark_conf", "spark_env_vars"} {
			m, _ := c.settings[part].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(m)) {
				unprefixed = unprefixed || strings.HasPrefix(key, "prophecy.")
				value, _ := m[key].(string)
				if !n.callsTool(key, value) {
					continue
				}
				delete(m, key)
				stripped = true
				d.Stripped = append(d.Stripped, configs.Found(configs.Stripped, d.job.Key, fmt.Sprintf("%s (%s of %s)", key, part, c.name())))
			}
		}
		if !stripped {
			continue
		}
		conf, ok := c.settings["spark_conf"].(map[string]any)
		if !ok {
			conf = map[string]any{}
			c.settings["spark_conf"] = conf
		}
		conf[metricsOff] = "true"
		if unprefixed {
			conf[unprefixedMetrics] = "true"
		}
	}
}

func (n *rendering) callsTool(key, value string) bool {
	if strings.HasSuffix(key, "prophecy.execution.service.url") || strings.HasSuffix(key, "prophecy.metadata.url") || strings.Contains(value, urlPlaceholder) {
		return true
	}
	for _, s := range []string{key, value} {
		s, _ = put(n.placeholders.usable, s)
		if len(n.calls("", s)) > 0 {
			return true
		}
	}
	return false
}

// calls finds the addresses in a text whose host jobs must not call.
func (n *rendering) calls(language, text string) []artifacts.Call {
	if len(n.Isolation) == 0 || len(text) < 2 {
		return nil
	}
	return artifacts.Calls(language, text, n.Isolation)
}

// isolate looks at a string of the settings as it would be sent, anywhere but where strip has been: whether
// the job can do without the address is not for us to guess.
func (n *rendering) isolate(d *draft, at *spot, s string) {
	if d.blocked != nil {
		return
	}
	calls := n.calls("", s)
	if len(calls) == 0 || d.told >= mostCalls {
		return
	}
	where := "in the overlay of the deployment"
	for _, was := range d.committed(at) {
		was, _ = put(n.placeholders.usable, was)
		if len(n.calls("", was)) > 0 {
			where = d.line(at)
		}
	}
	n.call(d, d.subject(at), where, calls[0].Host)
}

// committed are the strings at a spot of the job's file: a value, and the key that leads to it.
func (d *draft) committed(at *spot) []string {
	if d.file == nil {
		d.file, _ = parse(d.job.Raw) // it was read before
	}
	switch v := at.in(d.file).(type) {
	case nil:
		return nil
	case string:
		return []string{v, at.key}
	}
	return []string{at.key}
}

// line says on which line of the job's file a value stands.
func (d *draft) line(at *spot) string {
	line, _ := lineOf(d.job.Raw, at) // who asks has seen it there
	return fmt.Sprintf("line %d", line)
}

// mostCalls bounds what is said about one job that may call.
const mostCalls = 20

// call blocks a job that names the address of a host which jobs must not call, unless the deployment allows
// this one to.
func (n *rendering) call(d *draft, subject, where, host string) {
	for _, glob := range n.Allow {
		if ok, _ := doublestar.Match(glob, d.job.Key); ok {
			if d.told++; d.told == mostCalls {
				where += ", and more places"
			}
			n.found(configs.CallAllowed, string(d.Key), fmt.Sprintf("%s, in %s, %s", host, subject, where))
			return
		}
	}
	if d.blocked == nil {
		d.blockFor(configs.CallsTool, subject, fmt.Sprintf("%s: %s", where, host))
		d.blocked.Next = strings.Replace(d.blocked.Next, "KEY", strconv.Quote(d.job.Key), 1)
	}
}
