package gitwatch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"selvage/configs"
)

// Ref is one branch or tag of a remote: its full name and the object that it names, which for an
// annotated tag is the tag itself.
type Ref struct {
	Name   string `json:"name"`
	Object string `json:"object"`
}

// advertisement is what a remote says about itself when its refs are listed.
type advertisement struct {
	refs         []Ref // branches and tags, by name
	odd          []configs.Finding
	capabilities string // as sent, for the request that follows
}

// maxOddRefs is how many dropped refs are named one by one; the rest is counted.
const maxOddRefs = 20

// readAdvertisement decodes the answer to a list-refs request, protocol version 0
// (git's Documentation/gitprotocol-pack.txt, "Reference Discovery"). It reads to the closing flush and no
// further. An answer that ends before it is an error, so that half a list never counts as one.
func readAdvertisement(r io.Reader, subject string, maxRefs int) (*advertisement, error) {
	s := pktline.NewScanner(r)
	adv := &advertisement{}
	names := map[string]bool{}
	dropped, first := 0, true
	for {
		line, err := nextLine(s)
		if err != nil {
			return nil, err
		}
		if first && bytes.HasPrefix(line, []byte("# service=")) { // smart HTTP puts a heading and a flush before it
			if line, err = nextLine(s); err != nil {
				return nil, err
			}
			if len(line) == 0 {
				if line, err = nextLine(s); err != nil {
					return nil, err
				}
			}
		}
		if len(line) == 0 {
			break // the flush
		}
		if first {
			var found bool
			var caps []byte
			line, caps, found = bytes.Cut(line, []byte{0})
			if !found {
				return nil, fmt.Errorf("read the list of refs: the first line has no capabilities: %q", printable(string(line), 80))
			}
			adv.capabilities = string(caps)
			first = false
		}
		if bytes.HasPrefix(line, []byte("shallow ")) {
			return nil, errors.New("read the list of refs: the remote is a shallow clone, which has no history to compare releases by")
		}
		id, raw, ok := bytes.Cut(line, []byte{' '})
		if !ok || !isObjectID(string(id)) {
			return nil, fmt.Errorf("read the list of refs: not an object id and a name: %q", printable(string(line), 80))
		}
		name := string(raw)
		if bytes.HasSuffix(raw, []byte("^{}")) || (!bytes.HasPrefix(raw, []byte("refs/heads/")) && !bytes.HasPrefix(raw, []byte("refs/tags/"))) {
			continue // a peeled tag, HEAD, or a ref of the forge: nobody follows those
		}
		if odd := oddRefName(name); odd != "" {
			if dropped++; dropped <= maxOddRefs {
				adv.odd = append(adv.odd, configs.Found(configs.RefOdd, strconv.Quote(printable(name, 120)), "its name "+odd))
			}
			continue
		}
		if names[name] {
			return nil, fmt.Errorf("read the list of refs: %s is listed twice", name)
		}
		names[name] = true
		if len(adv.refs) >= maxRefs {
			return nil, &LimitError{Limit: "MaxRefs", Allowed: int64(maxRefs), Subject: "the list of refs of " + subject}
		}
		adv.refs = append(adv.refs, Ref{Name: name, Object: string(id)})
	}
	if dropped > maxOddRefs {
		adv.odd = append(adv.odd, configs.Found(configs.RefOdd, subject, fmt.Sprintf("and %d more", dropped-maxOddRefs)))
	}
	sort.Slice(adv.refs, func(i, j int) bool { return adv.refs[i].Name < adv.refs[j].Name })
	return adv, nil
}

// head is the full name of the branch that HEAD of the remote stands for (git's
// Documentation/gitprotocol-capabilities.txt, "symref"); empty where it names no branch that is listed.
func (a *advertisement) head() string {
	for word := range strings.FieldsSeq(a.capabilities) {
		name, ok := strings.CutPrefix(word, "symref=HEAD:")
		if ok && strings.HasPrefix(name, "refs/heads/") && slices.ContainsFunc(a.refs, func(r Ref) bool { return r.Name == name }) {
			return name
		}
	}
	return ""
}

// nextLine is the payload of the next pkt-line without its line end; empty for a flush.
func nextLine(s *pktline.Scanner) ([]byte, error) {
	if s.Scan() {
		return bytes.TrimSuffix(s.Bytes(), []byte{'\n'}), nil
	}
	err := s.Err()
	var said *pktline.ErrorLine
	switch {
	case err == nil:
		err = io.ErrUnexpectedEOF
	case errors.As(err, &said):
		return nil, fmt.Errorf("the remote says: %s", printable(said.Text, 200))
	}
	return nil, fmt.Errorf("read the list of refs: %w", err)
}

// isObjectID tells whether text is the full id of an object: 40 lower-case hexadecimal digits, not all zero.
func isObjectID(text string) bool {
	if len(text) != 40 {
		return false
	}
	zero := true
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
		zero = zero && c == '0'
	}
	return !zero
}
