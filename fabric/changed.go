package fabric

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrChanged is what the error of a result is where somebody changed the resource between the look that the plan was made
// of and the write: nothing was sent, no intent was opened, and the change has to be planned again. The status beside it is
// Later.
var ErrChanged = errors.New("it is no longer what the plan saw")

// Changed says what of a resource is no longer what the plan saw. It is an ErrChanged.
type Changed struct {
	Gone   bool     // it is not there any more
	Marked bool     // it carries another mark
	Paths  []string // of the fields that differ, sorted; empty where it is gone
}

func (e *Changed) Error() string {
	switch {
	case e.Gone:
		return ErrChanged.Error() + ": it is gone"
	case e.Marked:
		return ErrChanged.Error() + ": it carries another mark"
	}
	shown := e.Paths
	if len(shown) > 3 {
		shown = append(slices.Clone(shown[:3]), fmt.Sprintf("and %d more", len(e.Paths)-3))
	}
	return ErrChanged.Error() + ": " + strings.Join(shown, ", ")
}

func (e *Changed) Unwrap() error { return ErrChanged }

// Unchanged returns nil where a resource is what the plan of the change saw, by the rules of its kind, and a *Changed
// otherwise. Fields that the change knows to be Restless tell nothing.
func (c Change) Unchanged(rules *Rules, now Mark, live Doc) error {
	switch {
	case now != c.Mark:
		return &Changed{Marked: true}
	case c.Live.IsZero(): // nothing was seen, so that nothing can be the same
		return &Changed{Paths: []string{"all of it"}}
	}
	fields, _ := Compare(Comparison{Rules: rules, Desired: c.Live, Live: live})
	var paths []string
	for _, f := range fields {
		if !Covered(c.Restless, f.Path) {
			paths = append(paths, f.Path)
		}
	}
	if len(paths) > 0 {
		return &Changed{Paths: paths}
	}
	return nil
}

// Covered reports that a path is one of some, or lies below one; the empty path is the whole document.
func Covered(paths []string, path string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return p == "" || p == path || within(p, path) })
}
