package reconciler

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// kindContest is the kind of the entries about fields that somebody else writes too. Their data is contestsSeen.
const kindContest ledger.Kind = "contest"

const (
	// healApart is the time in which a field is put right twice and no more: what comes back then within as long a time has
	// another writer. It is also for how long live has to agree again until that is forgotten.
	healApart = time.Hour
	// mostHealed is how many fields of one resource are remembered as put right.
	mostHealed = 20
)

// Healed is when drift of one field was put right last, and to what.
type Healed struct {
	At time.Time `json:"at"`
	To string    `json:"to"` // digest of the value, in short
	// Before is when it was put right to that before, less than healApart earlier; zero where it was not.
	Before time.Time `json:"before,omitzero"`
}

// twice reports that a field was put right twice to a value, within healApart each.
func (h Healed) twice(to string, now time.Time) bool {
	return h.To == to && !h.Before.IsZero() && now.Sub(h.At) < healApart
}

// Contest is a field that we no longer put right, because somebody else writes it too.
type Contest struct {
	Key   fabric.Key `json:"key"`
	Path  string     `json:"path"`
	To    string     `json:"to"` // digest of the value that git wants, in short: another one ends the contest
	Since time.Time  `json:"since"`
	// Agrees is since when live is what git wants; zero while it is not.
	Agrees time.Time `json:"agrees,omitzero"`
}

// contestsSeen is the data of kindContest.
type contestsSeen struct {
	Contests []Contest `json:"contests"`
}

// valueDigest names the value that git wants of a field.
func valueDigest(f fabric.Field) string {
	sum := sha256.Sum256(f.New)
	return hex.EncodeToString(sum[:6])
}

// driftOf are the fields that a change puts right, with what to; at most mostHealed.
func driftOf(c fabric.Change) map[string]string {
	var to map[string]string
	for _, f := range c.Fields {
		if f.Cause != fabric.Drift || len(to) == mostHealed {
			continue
		}
		if to == nil {
			to = map[string]string{}
		}
		to[f.Path] = valueDigest(f)
	}
	return to
}

// contested holds a change back that would only put right what somebody else keeps changing. A person who asks for it gets
// it once, and what git changed is written, whoever else writes there.
func (b *planner) contested(c fabric.Change, o Owning) fabric.Change {
	if c.Cause != fabric.Drift || b.Force {
		return c
	}
	who, sure := "", false
	if rules := b.Rules(c.Kind); rules.Rival != nil {
		who, sure = rules.Rival(c.Fields, c.Live)
	}
	known := b.Contests[c.Key]
	var again []fabric.Field
	for _, f := range c.Fields {
		to := valueDigest(f)
		ct, noted := known[f.Path]
		noted = noted && ct.To == to && (ct.Agrees.IsZero() || b.Now.Sub(ct.Agrees) < healApart)
		if !noted && !sure && !o.Healed[f.Path].twice(to, b.Now) {
			continue
		}
		again = append(again, f)
		if !noted || !ct.Agrees.IsZero() {
			b.contests = append(b.contests, Contest{Key: c.Key, Path: f.Path, To: to, Since: b.Now})
		}
	}
	if len(again) == 0 {
		return c
	}
	if who == "" {
		who = "nothing says who"
	}
	// What was set to something else tells more than what is missing.
	slices.SortStableFunc(again, func(a, b fabric.Field) int { return cmp.Compare(min(len(b.Old), 1), min(len(a.Old), 1)) })
	c.Hindrance = fabric.Blocked
	c.Reason = configs.Found(configs.OtherWriter, string(c.Key), fmt.Sprintf("%s; likely: %s", fought(again), who))
	return c
}

// calm notes of which contested fields live is what git wants again.
func (b *planner) calm(c fabric.Change) {
	known := b.Contests[c.Key]
	for _, path := range slices.Sorted(maps.Keys(known)) {
		ct := known[path]
		if ct.Agrees.IsZero() && !slices.ContainsFunc(c.Fields, func(f fabric.Field) bool { return f.Path == path }) {
			ct.Agrees = b.Now
			b.contests = append(b.contests, ct)
		}
	}
}

// fought says which fields came back, and with which values.
func fought(fields []fabric.Field) string {
	text := ""
	for i, f := range fields {
		if i == 2 {
			return fmt.Sprintf("%s, and %d more", text, len(fields)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %s where git says %s", f.Path, brief(f.Old), brief(f.New))
	}
	return text
}

// brief is a value in few words.
func brief(v []byte) string {
	const most = 80
	switch {
	case len(v) == 0:
		return "nothing"
	case len(v) > most:
		return strings.ToValidUTF8(string(v[:most]), "") + "..."
	}
	return string(v)
}

// contestEntries are the ledger entries about contests that a plan found anew, or found at rest.
func (rd *round) contestEntries(p Plan) []ledger.Entry {
	if len(p.Contests) == 0 {
		return nil
	}
	e := ledger.Entry{Kind: kindContest, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Data: encode(contestsSeen{p.Contests})}
	var keys []fabric.Key
	for _, c := range p.Contests {
		if !slices.Contains(keys, c.Key) {
			keys = append(keys, c.Key)
		}
		if c.Agrees.IsZero() {
			e.Code = string(configs.OtherWriter)
		}
	}
	e.Text = "what somebody else wrote is as git wants it again: " + joinKeys(keys)
	if e.Code != "" {
		e.Text = configs.Found(configs.OtherWriter, rd.name, joinKeys(keys)).Text
	}
	return []ledger.Entry{e}
}

// contestsNoted takes the contests of an entry into the state.
func (s *state) contestsNoted(dep string, seen contestsSeen) {
	for _, c := range seen.Contests {
		of := maps.Clone(s.contests[dep][c.Key])
		if of == nil {
			of = map[string]Contest{}
		}
		of[c.Path] = c
		s.keepContests(dep, c.Key, of)
	}
}

// keepContests replaces the contests of a resource.
func (s *state) keepContests(dep string, k fabric.Key, of map[string]Contest) {
	if len(of) == 0 {
		if _, ok := s.contests[dep][k]; ok {
			delete(s.contests[dep], k)
			s.table.drop("contests", dep, string(k))
		}
		return
	}
	set(s.contests, dep, k, of)
	s.table.put("contests", dep, string(k), of)
}

// healed takes in that drift of a resource was put right at a time: a contest about it is over, and begins anew if it
// comes back soon.
func (s *state) healed(dep string, k fabric.Key, a Applied, drift map[string]string, at time.Time) Applied {
	if len(drift)+len(a.Healed) == 0 {
		return a
	}
	of := maps.Clone(s.contests[dep][k])
	healed := map[string]Healed{}
	for _, path := range slices.Sorted(maps.Keys(a.Healed)) {
		h := a.Healed[path]
		if at.Sub(h.At) < healApart && len(healed)+len(drift) < mostHealed {
			healed[path] = h
		}
	}
	for path, to := range drift {
		h := Healed{At: at, To: to}
		if was := a.Healed[path]; was.To == to && at.Sub(was.At) < healApart {
			h.Before = was.At
		}
		healed[path] = h
		delete(of, path)
	}
	a.Healed = healed
	if len(healed) == 0 {
		a.Healed = nil
	}
	if len(drift) > 0 {
		s.keepContests(dep, k, of)
	}
	return a
}

// alarms notes what in the plan somebody should look at now.
func (rd *round) alarms() {
	for _, c := range rd.out.Plan.Changes {
		if c.Reason.Level() == configs.Alarm {
			rd.note(c.Reason)
		}
	}
}
