package reconciler

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// Event is a ledger entry with what its data says, for those who tell of it. Of the fields below the
// entry, only those of its kind are set.
type Event struct {
	ledger.Entry
	Revision Revision        // release, plan, approve, phase
	Plan     string          // plan, approve: the digest
	Counts   Counts          // plan
	Verdicts []Verdict       // plan
	Changes  []fabric.Change // plan: the first hundred of those that are more than kept
	Op       fabric.Op       // intent
	Keys     []fabric.Key    // intent, outcome, absent, released, taken
	ID       string          // intent: the live resource; the file, if it uploads one
	Done     bool            // outcome: all of it was done
	Phase    Phase           // phase
}

// Decode reads the data of an entry. An entry of a kind that it does not know is returned as it is; data of
// another form than this version writes is an error.
func Decode(e ledger.Entry) (Event, error) {
	ev := Event{Entry: e}
	var err error
	read := func(v any) {
		if len(e.Data) == 0 {
			return
		}
		if err = json.Unmarshal(e.Data, v); err != nil {
			err = fmt.Errorf("read ledger entry #%d (%s): %w", e.Seq, e.Kind, err)
		}
	}
	switch e.Kind {
	case kindRelease:
		read(&ev.Revision)
	case kindPlan:
		var p planMade
		read(&p)
		ev.Plan, ev.Revision, ev.Counts, ev.Verdicts, ev.Changes = p.Digest, p.Revision, p.Counts, p.Verdicts, p.Changes
	case kindApprove:
		var a approval
		read(&a)
		ev.Plan, ev.Revision = a.Plan, a.Revision
	case kindIntent:
		var i intentMade
		read(&i)
		ev.Op, ev.Keys, ev.ID = i.Op, i.Keys, i.ID
	case kindOutcome:
		var o outcomeSeen
		read(&o)
		ev.Done = len(o.Results) > 0
		for _, r := range o.Results {
			ev.Done = ev.Done && r.Status == fabric.Done.String()
			if r.Key != "" {
				ev.Keys = append(ev.Keys, r.Key)
			}
		}
	case kindAbsent:
		var a absent
		read(&a)
		ev.Keys = a.Keys
	case kindRelinquish, kindTake:
		var k keysOf
		read(&k)
		ev.Keys = k.Keys
	case kindPhase:
		var p phaseReached
		read(&p)
		ev.Phase, ev.Revision = p.Phase, p.Revision
	}
	return ev, err
}

// Describe tells an entry to a person: its sentence, with digests cut short, and below it, one line each and
// indented by their depth, what its data adds: of a plan the changes field by field, what was taken out and the
// gates that hold it back; of an alarm what to do.
func Describe(e ledger.Entry) []string {
	ev, err := Decode(e)
	if err != nil {
		return []string{brief(e.Text), err.Error()}
	}
	switch e.Kind {
	case kindIntent:
		return []string{brief(strings.TrimSuffix(e.Text, " to "+ev.ID))} // the path ends in the name of the file
	case kindPlan:
		return append([]string{brief(e.Text)}, describePlan(ev)...)
	}
	lines := []string{brief(e.Text)}
	if f := configs.Found(configs.Code(e.Code), "", ""); f.Level() == configs.Alarm && f.Next != "" {
		lines = append(lines, "next: "+ev.named(f.Next))
	}
	return lines
}

// named puts the entry's own deployment and tag into the words of a next step.
func (ev Event) named(next string) string {
	deployment, tag := ev.Deployment, ev.Revision.Name
	if ev.Kind == kindTag {
		var t tagSeen
		if json.Unmarshal(ev.Data, &t) == nil {
			tag = strings.TrimPrefix(t.Ref, "refs/tags/")
		}
	}
	for word, name := range map[string]string{"DEPLOYMENT": deployment, "TAG": tag} {
		if name != "" {
			next = strings.ReplaceAll(next, word, name)
		}
	}
	return next
}

func describePlan(ev Event) []string {
	var lines []string
	for _, c := range ev.Changes {
		lines = append(lines, DescribeChange(c)...)
	}
	lines = append(lines, describeStripped(ev.Changes)...)
	for _, v := range waiting(ev.Verdicts) {
		line := fmt.Sprintf("%-5s %s: %s", v.State, v.Gate, v.Reason.Text)
		if v.Reason.Next != "" {
			line += "; " + ev.named(v.Reason.Next)
		}
		lines = append(lines, line)
	}
	return lines
}

// describeStripped says what was taken out of the definitions, once for all resources that lost the same.
func describeStripped(changes []fabric.Change) []string {
	from := map[string][]string{} // what was taken out -> of which resources
	for _, c := range changes {
		var names []string
		for _, f := range c.Stripped {
			name, _, _ := strings.Cut(strings.TrimPrefix(f.Text, f.Code.Sentence()+": "), " (") // where it stood
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			all := strings.Join(names, ", ")
			from[all] = append(from[all], string(c.Key))
		}
	}
	var lines []string
	for _, all := range slices.Sorted(maps.Keys(from)) {
		lines = append(lines, fmt.Sprintf("stripped  %s (of %s)", all, strings.Join(from[all], ", ")))
	}
	return lines
}

// signs begin the line of a change.
var signs = map[fabric.Action]string{fabric.Create: "+", fabric.Update: "~", fabric.Delete: "-", fabric.Release: "o", fabric.Keep: "="}

// DescribeChange tells a change to a person: a line for the resource, and an indented one for each field.
func DescribeChange(c fabric.Change) []string {
	what := string(c.Kind) + " " + c.ID
	if c.ID == "" {
		what = "new " + string(c.Kind)
	}
	line := fmt.Sprintf("%s %-22s  %s", signs[c.Action], c.Key, what)
	switch {
	case c.Hindrance != fabric.Free:
		line += fmt.Sprintf("   %s: %s", c.Hindrance, c.Reason.Text)
	case c.Cause != "" && len(c.Fields) == 0:
		line += "   " + string(c.Cause)
	}
	lines := []string{line}
	width := 0
	for _, f := range c.Fields {
		width = max(width, utf8.RuneCountInString(brief(f.Path)))
	}
	for _, f := range c.Fields {
		from, to := contrast(value(f.Old), value(f.New))
		lines = append(lines, fmt.Sprintf("    %-*s  %s -> %s   %s", min(width, 48), brief(f.Path), from, to, f.Cause))
	}
	return lines
}

// value is a field's JSON as a person reads it: text without quotes, and - for nothing.
func value(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "-"
	}
	var s string
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil && s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return brief(s)
	}
	return brief(string(raw))
}

var digests = regexp.MustCompile(`\b[0-9a-f]{40,64}\b`)

// brief cuts the digests in a text down to what people compare by eye.
func brief(s string) string {
	return digests.ReplaceAllStringFunc(s, func(d string) string { return d[:6] })
}

const (
	longValue = 40 // characters up to which a value is shown as it is
	around    = 20 // characters kept at most before and behind the part that differs
)

// contrast cuts two long values down to the part in which they differ, and what of a path stands around it.
func contrast(old, new string) (string, string) {
	a, b := []rune(old), []rune(new)
	if len(a) <= longValue && len(b) <= longValue {
		return old, new
	}
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	from := max(0, head-around)
	if slash := slices.Index(a[from:head], '/'); from > 0 && slash >= 0 {
		from += slash + 1
	}
	cut := func(r []rune) string {
		differs := len(r) - tail
		to := min(len(r), differs+around, max(from, head)+2*longValue)
		if slash := lastIndex(r[min(differs, to):to], '/'); to < len(r) && slash >= 0 {
			to = differs + slash
		}
		s := string(r[from:to])
		if from > 0 {
			s = "..." + s
		}
		if to < len(r) {
			s += "..."
		}
		return s
	}
	return cut(a), cut(b)
}

func lastIndex(list []rune, r rune) int {
	for i, v := range slices.Backward(list) {
		if v == r {
			return i
		}
	}
	return -1
}
