package reconciler

import (
	"sync"

	"selvage/fabric"
)

// compared remembers which comparisons of one rendering found nothing to write, by the texts that were compared.
// Comparing is pure, so that it only saves work: of a thousand jobs that nobody touched, none is decoded again.
type compared struct {
	mu    sync.Mutex
	equal map[fabric.Key]equality
}

// equality is a comparison without a functional difference.
type equality struct {
	desired, live, sent, read string // origins; empty for no document
	labels                    int
}

// origins is the equality of what a comparison compares; false where one of them is kept as no text.
func origins(c fabric.Comparison) (e equality, ok bool) {
	e = equality{desired: c.Desired.Origin(), live: c.Live.Origin(), sent: c.Sent.Origin(), read: c.Read.Origin()}
	texts := func(d fabric.Doc, origin string) bool { return origin != "" || d.IsZero() }
	return e, texts(c.Desired, e.desired) && texts(c.Live, e.live) && texts(c.Sent, e.sent) && texts(c.Read, e.read)
}

// compare is fabric.Compare of the resource that a key names.
func (m *compared) compare(k fabric.Key, c fabric.Comparison) ([]fabric.Field, int) {
	e, ok := origins(c)
	if m == nil || !ok {
		return fabric.Compare(c)
	}
	m.mu.Lock()
	known, ok := m.equal[k]
	m.mu.Unlock()
	if e.labels = known.labels; ok && known == e {
		return nil, known.labels
	}
	fields, labels := fabric.Compare(c)
	if e.labels = labels; len(fields) == 0 {
		m.keep(k, e)
	}
	return fields, labels
}

// same notes that a comparison finds no difference at all. One that found none without what was read back
// finds none with it: it only excuses differences.
func (m *compared) same(k fabric.Key, c fabric.Comparison) {
	if e, ok := origins(c); m != nil && ok {
		m.keep(k, e)
	}
}

func (m *compared) keep(k fabric.Key, e equality) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.equal == nil {
		m.equal = map[fabric.Key]equality{}
	}
	m.equal[k] = e
}
