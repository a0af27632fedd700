package reconciler

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// LastSent reads, from the files of a state that a daemon may be running on, what was last sent of each resource that
// is owned on a fabric. There is none where there is no ledger yet. A document that is lost is left out, and counted.
func LastSent(ledgerDir, documentsDir, place string) (docs []fabric.Doc, lost int, err error) {
	s := newState(&table{})
	for e, err := range ledger.Read(ledgerDir, 0) {
		if errors.Is(err, ledger.ErrNoLog) || errors.Is(err, fs.ErrNotExist) {
			return nil, 0, nil
		}
		if err == nil {
			err = s.fold(e)
		}
		if err != nil {
			return nil, 0, err
		}
		s.table.pending = nil
	}
	for name, owned := range s.applied {
		if !strings.HasSuffix(name, "@"+place) {
			continue
		}
		for _, a := range owned {
			d, err := readDocument(documentsDir, a.Sent)
			if err != nil {
				lost++
				continue
			}
			docs = append(docs, d)
		}
	}
	return docs, lost, nil
}

// readDocument reads a document without opening the store, which one process at a time may do.
func readDocument(dir, digest string) (fabric.Doc, error) {
	if len(digest) != 2*sha256.Size || strings.ContainsAny(digest, `/\.`) {
		return fabric.Doc{}, fmt.Errorf("%q is no digest", digest)
	}
	content, err := os.ReadFile(filepath.Join(dir, digest[:2], digest))
	if err != nil {
		return fabric.Doc{}, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
		return fabric.Doc{}, fmt.Errorf("document %s is corrupt", digest)
	}
	return fabric.ParseDoc(content)
}
