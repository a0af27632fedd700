package artifacts

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"selvage/configs"
)

const (
	// callsVersion names the way wheels are scanned. It changes with what Calls finds, so that no note of
	// an earlier scan is taken for one of the present.
	callsVersion = "selvage calls 1"
	// maxWheelCalls bounds the findings of one pipeline; one more says how many there are beyond.
	maxWheelCalls = 20
)

// wheelCalls is what a scan of one wheel found.
type wheelCalls struct {
	Form  string      // callsVersion
	First []wheelCall // the first maxWheelCalls, by file and line
	Total int         // of each file, Calls lists a bounded number
}

type wheelCall struct {
	File string // in the wheel
	Call Call
}

// findCalls returns a finding for each place in the wheels of pipelines that names a host of the
// patterns. Whether the wheel was built now or long ago makes no difference: a wheel is scanned once for
// a list of patterns, and the note of it lies beside those of what was built.
func (b *Builder) findCalls(pipelines []Pipeline, patterns []string) ([]configs.Finding, error) {
	var findings []configs.Finding
	for _, p := range pipelines {
		if len(patterns) == 0 || p.Artifact == nil || p.Artifact.Kind != "wheel" {
			continue
		}
		found, err := b.callsOf(p.Artifact.SHA256, patterns)
		if err != nil {
			return nil, fmt.Errorf("look for calls in %s: %w", p.Artifact.Name, err)
		}
		for _, c := range found.First {
			findings = append(findings, configs.Found(configs.WheelCalls, p.Key,
				fmt.Sprintf("%s line %d of %s names %s", clip(c.File), c.Call.Line, p.Artifact.Name, clip(c.Call.Host))))
		}
		if more := found.Total - len(found.First); more > 0 {
			findings = append(findings, configs.Found(configs.WheelCalls, p.Key, fmt.Sprintf("and %d more in %s", more, p.Artifact.Name)))
		}
	}
	return findings, nil
}

// callsOf returns what a scan of the wheel with this digest finds, or found earlier.
func (b *Builder) callsOf(sum string, patterns []string) (wheelCalls, error) {
	key, err := json.Marshal(struct {
		Form, Wheel string
		Patterns    []string
	}{callsVersion, sum, slices.Compact(slices.Sorted(slices.Values(patterns)))})
	if err != nil {
		return wheelCalls{}, err
	}
	note := filepath.Join(b.built, "calls-"+hexDigest(key)+".json")
	var found wheelCalls
	if text, err := os.ReadFile(note); err == nil && json.Unmarshal(text, &found) == nil && found.Form == callsVersion {
		return found, nil
	} // else scanning again mends it
	content, err := b.store.Read(sum)
	if err != nil {
		return wheelCalls{}, err
	}
	if found, err = scanWheel(content, patterns); err != nil {
		return wheelCalls{}, err
	}
	text, err := json.Marshal(found)
	if err != nil {
		return wheelCalls{}, err
	}
	if err := renameio.WriteFile(note, append(text, '\n'), 0o644); err != nil {
		return wheelCalls{}, diskError("note what was found in", b.built, err)
	}
	return found, nil
}

// scanWheel looks through the text files of a wheel. What stands in .dist-info is about the wheel and
// .prophecy/workflow.latest.json is the editor's own picture of the pipeline: nothing runs either of them.
func scanWheel(content []byte, patterns []string) (wheelCalls, error) {
	found := wheelCalls{Form: callsVersion}
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return found, err
	}
	for _, f := range r.File {
		top, _, _ := strings.Cut(f.Name, "/")
		if strings.HasSuffix(top, ".dist-info") || strings.HasSuffix(f.Name, ".data/data/.prophecy/workflow.latest.json") {
			continue
		}
		text, err := readZipped(f)
		if err != nil {
			return wheelCalls{}, err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue // not text
		}
		calls := Calls(languageOf(f.Name), string(text), patterns)
		found.Total += len(calls)
		for _, c := range calls[:min(len(calls), maxWheelCalls-len(found.First))] {
			found.First = append(found.First, wheelCall{f.Name, c})
		}
	}
	return found, nil
}

// readZipped reads a file of a wheel that was built here, and so is no larger than all of it may be.
func readZipped(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxWheelBytes))
}
