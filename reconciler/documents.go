package reconciler

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"selvage/artifacts"
	"selvage/fabric"
)

// documents keeps exact documents in the private store, by digest. In memory it has only which of them are there: most
// rounds look into none, and for ten thousand jobs they would be half of what the daemon holds.
type documents struct {
	store *artifacts.Store

	mu    sync.Mutex
	cache map[string]fabric.Doc
}

// put makes a document durable and returns its digest.
func (d *documents) put(doc fabric.Doc) (string, error) {
	digest, err := d.keepAside(doc)
	if err != nil {
		return "", err
	}
	d.stored(digest)
	return digest, nil
}

// keepAside makes a document durable that no round compares with.
func (d *documents) keepAside(doc fabric.Doc) (string, error) {
	digest, _, err := d.store.Put(bytes.NewReader(doc.Canonical()))
	if err != nil {
		return "", fmt.Errorf("keep a document: %w", err)
	}
	return digest, nil
}

// get returns the document, or the zero Doc where the store lacks it or it is damaged: comparing
// then goes without what was last sent.
func (d *documents) get(digest string) fabric.Doc {
	if digest == "" {
		return fabric.Doc{}
	}
	d.mu.Lock()
	doc, ok := d.cache[digest]
	d.mu.Unlock()
	if ok {
		return doc
	}
	if content, err := d.read(digest); err != nil || len(content) == 0 || content[0] != '{' { // that of no document is null
		return fabric.Doc{}
	}
	return d.stored(digest)
}

func (d *documents) stored(digest string) fabric.Doc {
	doc := fabric.StoredDoc(digest, func() ([]byte, error) { return d.read(digest) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cache[digest] = doc
	return doc
}

func (d *documents) read(digest string) ([]byte, error) {
	f, err := d.store.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// keep forgets all documents but those.
func (d *documents) keep(used map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.cache) <= len(used)+len(used)/2 {
		return
	}
	for digest := range d.cache {
		if !used[digest] {
			delete(d.cache, digest)
		}
	}
}
