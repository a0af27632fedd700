// Package fabrictest is what every fabric promises, as tests: Run checks a fabric against it. Beside the
// suite stand a small deployment loop over the public interface alone (Deploy), which shows how the
// parts of a fabric are meant to be used, and Memory, a fabric that takes all changes as one commit
// and shows them minutes later.
package fabrictest

import (
	"testing"

	"selvage/artifacts"
	"selvage/fabric"
)

// Harness makes places for the suite to work in.
type Harness struct {
	// New returns a place with nothing in it. What it starts it ends with t.Cleanup.
	New func(t *testing.T) Place
	// In runs the body of each test, for a fabric that needs surroundings: synctest.Test for one
	// that waits. Nil runs it as it is.
	In func(t *testing.T, body func(t *testing.T))
}

// Place is a fabric's real side, with hands: what happens there besides the adapter.
type Place interface {
	// Open returns an adapter over the place, as a new process would make it.
	Open(t testing.TB) fabric.Fabric
	// Binding is one that selects all jobs of Release. Root may be empty: the loop fills it in.
	Binding() fabric.Binding
	// Release is one with these resources, in this order. Where the fabric knows labels, each
	// resource names the release somewhere in its definition.
	Release(t testing.TB, specs ...Spec) *artifacts.Release

	// Edit changes a field of the live resource by hand, to a value that it has not had, and
	// returns the field's path.
	Edit(t testing.TB, id string) (path string)
	// Copy clones the live resource by hand, its mark with it, and returns the copy's id.
	Copy(t testing.TB, id string) string
	// Delete deletes the live resource by hand.
	Delete(t testing.TB, id string)
	// Plant creates a resource of that name by hand, without a mark, and returns its id.
	Plant(t testing.TB, name string) string

	// Fault breaks the k-th changing request from now, the first being 1; Blind and None take effect at once.
	Fault(f Fault, k int)
	// Requests counts the changing requests that have arrived, those that a fault broke included.
	Requests() int
}

// Spec is a resource of a test's release.
type Spec struct {
	Key  string   // "jobs/daily"
	Name string   // what the fabric shows to people
	Text string   // free text that stands in one field of the definition
	Runs []string // keys of resources that it refers to
}

// Fault is what goes wrong.
type Fault int

const (
	None         Fault = iota // nothing from now on: takes back a fault that has not struck, and Blind
	LoseResponse              // the request is carried out, and the answer is lost
	FailBefore                // the request is not carried out, and the connection breaks
	Busy                      // the fabric does not carry it out and says: later
	Blind                     // the fabric can't be read until None
)
