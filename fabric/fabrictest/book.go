package fabrictest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"selvage/fabric"
)

// Book remembers what a ledger would: which resources are ours, what was last sent and read back, and
// which intents are open. It is the Journal of Deploy. Safe for concurrent use.
type Book struct {
	mu      sync.Mutex
	owner   string // deployment
	kinds   map[fabric.Key]fabric.Kind
	moved   map[fabric.Key]fabric.Key // old to new, as a configuration says
	from    map[fabric.Key]fabric.Key // of what is to be moved now: new to old
	known   map[fabric.Key]Known
	open    []fabric.Intent
	intents []fabric.Intent
	wrong   []string
	begin   error
	dead    bool
	ends    int // that are still written before the process dies; -1 for all
}

// Known is what the book knows of one resource.
type Known struct {
	fabric.Owned
	Sent, Read fabric.Doc
}

// NewBook returns an empty book of a deployment.
func NewBook(deployment string) *Book {
	return &Book{owner: deployment, kinds: map[fabric.Key]fabric.Kind{}, from: map[fabric.Key]fabric.Key{}, known: map[fabric.Key]Known{}, ends: -1}
}

// Move says that what had one key has another one from now on, as a configuration does. The zero key ends it.
func (b *Book) Move(old, now fabric.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moved = map[fabric.Key]fabric.Key{old: now}
}

// movedTo is the owned resource that goes on under k; false where there is none.
func (b *Book) movedTo(k fabric.Key) (Known, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for old, now := range b.moved {
		if _, owned := b.known[k]; now == k && !owned && b.known[old].ID != "" {
			return b.known[old], true
		}
	}
	return Known{}, false
}

// Refuse makes Begin fail with err, as a full disk does; nil ends it.
func (b *Book) Refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin = err
}

// CrashAfter makes the book take n more outcomes and nothing after them, as if the process had died
// there; -1 ends it.
func (b *Book) CrashAfter(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends, b.dead = n, false
}

var errDead = errors.New("the process has died")

// Begin implements fabric.Journal.
func (b *Book) Begin(ctx context.Context, i fabric.Intent) (context.Context, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.begin != nil:
		return nil, b.begin
	case b.dead:
		return nil, errDead
	}
	b.check(i)
	b.open = append(b.open, i)
	b.intents = append(b.intents, i)
	return fabric.WithPermit(ctx, i, nil), nil
}

// check notes what is wrong with an intent, for Wrong.
func (b *Book) check(i fabric.Intent) {
	complain := func(format string, args ...any) {
		b.wrong = append(b.wrong, fmt.Sprintf("intent %q: ", i.Text)+fmt.Sprintf(format, args...))
	}
	if i.Nonce == "" || slices.ContainsFunc(b.intents, func(o fabric.Intent) bool { return o.Nonce == i.Nonce }) {
		complain("its nonce %q is empty or was used before", i.Nonce)
	}
	if i.Text == "" {
		complain("a person can't read what it is")
	}
	sends := i.Op == fabric.OpCreate || i.Op == fabric.OpUpdate || i.Op == fabric.OpCommit
	if sends && len(i.Sent) != len(i.Keys) {
		complain("%d keys and %d documents", len(i.Keys), len(i.Sent))
	}
	if i.Op == fabric.OpUpload != (len(i.Keys) == 0) {
		complain("%s of %d keys", i.Op, len(i.Keys))
	}
	if (i.Op == fabric.OpUpdate || i.Op == fabric.OpDelete) != (i.ID != "") {
		complain("%s of the id %q", i.Op, i.ID)
	}
	for _, d := range i.Sent {
		if len(d.Refs()) > 0 {
			complain("what it sends holds a reference")
		}
	}
}

// End implements fabric.Journal.
func (b *Book) End(_ context.Context, nonce string, results ...fabric.Result) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ends == 0 {
		b.dead = true
		return errDead
	}
	if b.ends > 0 {
		b.ends--
	}
	n := slices.IndexFunc(b.open, func(i fabric.Intent) bool { return i.Nonce == nonce })
	if n < 0 {
		b.wrong = append(b.wrong, fmt.Sprintf("the end of an intent %q that is not open", nonce))
		return nil
	}
	i := b.open[n]
	b.open = slices.Delete(b.open, n, n+1)
	if len(results) != max(1, len(i.Keys)) {
		b.wrong = append(b.wrong, fmt.Sprintf("intent %q ends with %d results for %d keys", i.Text, len(results), len(i.Keys)))
		return nil
	}
	for n, r := range results {
		if r.Status == fabric.Doubtful {
			b.wrong = append(b.wrong, fmt.Sprintf("intent %q ends in doubt", i.Text))
		}
		if n < len(i.Keys) && r.Key != i.Keys[n] && r.Key != "" {
			b.wrong = append(b.wrong, fmt.Sprintf("intent %q: result %d is of %s, not of %s", i.Text, n, r.Key, i.Keys[n]))
		}
		if n < len(i.Keys) && r.Status == fabric.Done {
			b.happened(i, n, r.ID)
		}
	}
	return nil
}

// happened remembers that the n-th part of an intent was done.
func (b *Book) happened(i fabric.Intent, n int, id string) {
	k := i.Keys[n]
	if i.Op == fabric.OpDelete || i.Op == fabric.OpCommit && i.Sent[n].IsZero() {
		delete(b.known, k)
		return
	}
	if id == "" {
		b.wrong = append(b.wrong, fmt.Sprintf("intent %q: %s was done and has no id", i.Text, k))
	}
	if old := b.from[k]; old != "" {
		if b.known[old].ID != id {
			b.wrong = append(b.wrong, fmt.Sprintf("intent %q: %s had the id %s and has %s as %s", i.Text, old, b.known[old].ID, id, k))
		}
		delete(b.known, old)
	}
	b.known[k] = Known{Owned: fabric.Owned{Owner: fabric.Owner{Deployment: b.owner, Key: k}, Kind: b.kinds[k], ID: id}, Sent: i.Sent[n]}
}

// pending is a step to wait for before looking at open intents means anything, or nil.
func (b *Book) pending(live *fabric.Live) *fabric.Step {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.open {
		if receipt, ok := live.Pending[i.Nonce]; ok {
			return &fabric.Step{ID: i.Text, Receipt: receipt}
		}
	}
	return nil
}

// settleOpen closes the open intents by what a look at the whole fabric shows of them.
func (b *Book) settleOpen(live *fabric.Live, installation string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.open {
		if !live.Complete {
			return fmt.Errorf("intent %q is open and the look at the fabric is not complete", i.Text)
		}
		for n, k := range i.Keys {
			owner := fabric.Owner{Deployment: b.owner, Key: k}
			var made []fabric.Object
			for _, o := range live.ByNonce(i.Nonce) {
				if o.Mark.Owns(installation, owner) {
					made = append(made, o)
				}
			}
			old := b.known[b.from[k]]
			_, now, _ := live.Lookup(installation, b.kinds[k], owner, old.ID)
			switch {
			case b.from[k] != "" && old.ID != "" && now == fabric.Present:
				b.happened(i, n, old.ID)
			case b.from[k] != "" && old.ID != "": // not done
				old.Sent, old.Read = fabric.Doc{}, fabric.Doc{}
				b.known[b.from[k]] = old
			case len(made) == 1:
				b.happened(i, n, made[0].ID)
			case len(made) > 1:
				return fmt.Errorf("intent %q: %d objects carry its nonce", i.Text, len(made))
			default: // of an update or a deletion, the difference says what is left to do
				known := b.known[k]
				known.Sent, known.Read = fabric.Doc{}, fabric.Doc{}
				if known.ID != "" {
					b.known[k] = known
				}
			}
		}
	}
	b.open = nil
	return nil
}

func (b *Book) planned(c fabric.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kinds[c.Key] = c.Kind
	delete(b.from, c.Key)
	if c.Action == fabric.Move {
		b.from[c.Key] = c.From
	}
}

func (b *Book) forget(k fabric.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, k)
}

func (b *Book) read(k fabric.Key, d fabric.Doc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.known[k]
	known.Read = d
	b.known[k] = known
}

func (b *Book) resolve(r fabric.Ref) (any, bool) {
	known := b.Known(r.Key)
	if was, moves := b.movedTo(r.Key); moves { // it is there, under its old key
		known = was
	}
	return idValue(known.ID), known.ID != "" && known.Kind == r.Kind
}

// Known is what the book knows of a key; zero where it knows nothing.
func (b *Book) Known(k fabric.Key) Known {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[k]
}

// Owned are our resources in the order of their keys.
func (b *Book) Owned() []fabric.Owned {
	b.mu.Lock()
	defer b.mu.Unlock()
	owned := make([]fabric.Owned, 0, len(b.known))
	for _, k := range slices.SortedFunc(maps.Values(b.known), func(a, b Known) int { return cmp.Compare(a.Key, b.Key) }) {
		owned = append(owned, k.Owned)
	}
	return owned
}

// Open are the intents whose outcome is not known.
func (b *Book) Open() []fabric.Intent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.open)
}

// Intents are all that were begun.
func (b *Book) Intents() []fabric.Intent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.intents)
}

// Wrong says what the fabric wrote into the book that a ledger would not take.
func (b *Book) Wrong() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wrong)
}
