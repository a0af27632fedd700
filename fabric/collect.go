package fabric

import (
	"context"
	"time"
)

// Collector is a Fabric whose artifacts can be removed again. They lie below one or more roots, each in a folder that
// is named by a SHA-256 in hex; whatever else lies there is not ours.
//
// To the rules of who may remove what, it adds nothing: it says what is there and who mentions it, and removes what it
// is told to.
type Collector interface {
	Fabric

	// Roots are the folders that artifacts are uploaded to, the one of most of them first.
	Roots(ctx context.Context) ([]string, error)

	// Folders lists the folders of artifacts directly below a root, by their names. An error, also of a listing that
	// breaks off, means that nothing is known.
	Folders(ctx context.Context, root string) (names []string, err error)

	// Files lists what lies in such a folder at any depth; nothing where the folder is not there.
	Files(ctx context.Context, root, folder string) ([]File, error)

	// Content is what a file holds; nil where it is not there. It is an error for a file that is longer than any that
	// mentions others.
	Content(ctx context.Context, f File) ([]byte, error)

	// Mentions are all texts of 64 hex digits in the definitions of all jobs on the fabric, of whoever they are, each
	// with one job that has it. unseen says why there may be jobs that were not looked at; empty where there are none.
	// A listing that proves nothing absent is an error. Of the scope, Owned counts.
	Mentions(ctx context.Context, s Scope) (jobs map[string]string, unseen string, err error)

	// Remove removes files of one root, under one intent, and folders that are empty then. A file that is gone is no
	// error.
	Remove(ctx context.Context, files []File, j Journal) Result

	// Forget has the fabric believe no longer that the files are there.
	Forget(paths []string)
}

// File is a file of a fabric.
type File struct {
	Path     string    `json:"path"`     // full
	Size     int64     `json:"size"`     // bytes; -1 where the fabric does not say
	Modified time.Time `json:"modified"` // zero where the fabric does not say
	// Odd is the kind of something that is no file; it is not to be touched, and neither are folders above it.
	Odd string `json:"odd,omitempty"`
}
