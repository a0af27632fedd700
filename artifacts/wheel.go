package artifacts

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"strings"
)

// BuilderVersion names the way wheels are built: it stands in every wheel and in the key under which
// built wheels are cached. It changes whenever the same tree gives other bytes, be it by a change
// here or by one in the standard library's compressor; TestWheelBytesAreFixed notices.
const BuilderVersion = "selvage-wheel 2"

const (
	// maxWheelBytes bounds the files of one wheel together, uncompressed.
	maxWheelBytes = 256 << 20
	// maxWheelFiles bounds their number.
	maxWheelFiles = 20_000
)

// Wheel is a built wheel (binary distribution format 1.0, pure Python).
type Wheel struct {
	Name         string // of the file: "raw_bronze-1.0-py3-none-any.whl"
	Content      []byte
	SHA256       string // of Content, in hex
	Distribution string // as in the file's name: "raw_bronze"; case and dots are kept
	Version      string // normalised: "1.0"
	Files        int    // in the archive, RECORD and all
}

// wheelFile is one file of a wheel.
type wheelFile struct {
	name    string
	content []byte
}

// buildWheel builds the wheel that `setup.py bdist_wheel` would build with setuptools 66.1.1 and
// wheel 0.38.4 (and a newer one, but for the form of METADATA and the place of licenses), except that file times and modes are fixed: the same tree gives the same bytes on any
// machine. code is the folder of setup.py; only its regular files are looked at.
//
// It differs on purpose where setuptools would leave out or add something silently: a py_modules
// entry without a file is an error, and a committed build/ folder does not get in. oursAlone, in the tests,
// lists every kind of tree that is refused here and built there.
//
// An error that is a *refusal is the repository's fault: no retry will help. Any other means that the
// tree could not be read, and says nothing about it.
func buildWheel(code fs.FS, s Setup) (Wheel, error) {
	w, err := assembleWheel(code, s)
	var unread *unreadError
	if err != nil && !errors.As(err, &unread) {
		err = &refusal{Text: err.Error()}
	}
	return w, err
}

func assembleWheel(code fs.FS, s Setup) (Wheel, error) {
	version, err := normalizeVersion(orElse(s.Version, "0.0.0"))
	if err != nil {
		return Wheel{}, err
	}
	name := safeName(s.Name)
	if projectName.FindString(name) != name || name == "" || len(name) > maxVersionLength {
		return Wheel{}, fmt.Errorf("name %q can't be the name of a distribution; use up to %d letters, digits, dots, dashes and underscores, and a letter or digit at both ends", clip(s.Name), maxVersionLength)
	}
	w := Wheel{Distribution: strings.ReplaceAll(name, "-", "_"), Version: version}
	prefix := w.Distribution + "-" + strings.ReplaceAll(version, "-", "_")
	w.Name = prefix + "-py3-none-any.whl"

	tree, err := readTree(code)
	if err != nil {
		return Wheel{}, err
	}
	if err := checkSideConfiguration(tree); err != nil {
		return Wheel{}, err
	}
	packed, err := packFiles(tree, s, prefix+".data/data")
	if err != nil {
		return Wheel{}, err
	}
	info, err := distInfo(tree, s, name, version)
	if err != nil {
		return Wheel{}, err
	}
	for i := range info {
		info[i].name = prefix + ".dist-info/" + info[i].name
	}
	if len(packed) == 0 {
		return Wheel{}, errors.New("the wheel would hold no file; packages of setup.py name nothing that is there")
	}

	slices.SortFunc(packed, func(a, b wheelFile) int { return compareWalk(a.name, b.name) })
	slices.SortFunc(info, func(a, b wheelFile) int { return strings.Compare(a.name, b.name) })
	all := slices.Concat(packed, info)
	for i := 1; i < len(all); i++ {
		if all[i].name == all[i-1].name {
			return Wheel{}, fmt.Errorf("two files claim the place %s in the wheel", clip(all[i].name))
		}
	}
	all = append(all, wheelFile{prefix + ".dist-info/RECORD", record(all, prefix+".dist-info/RECORD")})
	if w.Content, err = archive(all); err != nil {
		return Wheel{}, fmt.Errorf("write %s: %w", w.Name, err)
	}
	sum := sha256.Sum256(w.Content)
	w.SHA256 = hex.EncodeToString(sum[:])
	w.Files = len(all)
	return w, nil
}

// distInfo makes the files of the .dist-info folder, RECORD excepted, by their base names.
func distInfo(tree *codeTree, s Setup, name, version string) ([]wheelFile, error) {
	licenses, err := licenseFiles(tree, s.LicenseFiles)
	if err != nil {
		return nil, err
	}
	meta, err := metadata(s, name, version, licenses)
	if err != nil {
		return nil, err
	}
	points, err := entryPoints(s.EntryPoints)
	if err != nil {
		return nil, err
	}
	files := []wheelFile{
		{"METADATA", meta},
		{"WHEEL", []byte("Wheel-Version: 1.0\nGenerator: " + BuilderVersion + "\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n")},
		{"top_level.txt", topLevel(s)},
	}
	if points != nil {
		files = append(files, wheelFile{"entry_points.txt", points})
	}
	if s.ZipSafe {
		files = append(files, wheelFile{"zip-safe", []byte("\n")})
	}
	for _, l := range licenses {
		content, err := tree.read(l)
		if err != nil {
			return nil, err
		}
		files = append(files, wheelFile{baseName(l), content})
	}
	return files, nil
}

// topLevel lists the names that `import` finds at the top.
func topLevel(s Setup) []byte {
	names := map[string]bool{}
	for _, p := range slices.Concat(s.Packages, s.Modules) {
		first, _, _ := strings.Cut(p, ".")
		names[first] = true
	}
	return []byte(strings.Join(sortedKeys(names), "\n") + "\n")
}

// compareWalk orders paths as wheel walks a folder: its files by name, then its folders by name.
func compareWalk(a, b string) int {
	for {
		aFirst, aRest, aDeeper := strings.Cut(a, "/")
		bFirst, bRest, bDeeper := strings.Cut(b, "/")
		switch {
		case aDeeper != bDeeper && bDeeper:
			return -1
		case aDeeper != bDeeper:
			return 1
		case aFirst != bFirst || !aDeeper:
			return strings.Compare(aFirst, bFirst)
		}
		a, b = aRest, bRest
	}
}

// record lists the files with their digests and sizes, and itself without, as CSV.
func record(files []wheelFile, self string) []byte {
	var b bytes.Buffer
	cell := func(s string) string {
		if strings.ContainsAny(s, `,"`) {
			return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
		return s
	}
	for _, f := range files {
		sum := sha256.Sum256(f.content)
		fmt.Fprintf(&b, "%s,sha256=%s,%d\n", cell(f.name), base64.RawURLEncoding.EncodeToString(sum[:]), len(f.content))
	}
	fmt.Fprintf(&b, "%s,,\n", cell(self))
	return b.Bytes()
}

// archive writes the zip file. The headers are spelled out, so that nothing in them depends on a
// clock, a file system or the library's idea of a default.
func archive(files []wheelFile) ([]byte, error) {
	var out, packed bytes.Buffer
	w := zip.NewWriter(&out)
	deflate, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		packed.Reset()
		deflate.Reset(&packed)
		if _, err := deflate.Write(f.content); err != nil {
			return nil, err
		}
		if err := deflate.Close(); err != nil {
			return nil, err
		}
		header := &zip.FileHeader{
			Name:           f.name,
			Method:         zip.Deflate,
			CreatorVersion: 3<<8 | 20, // Unix, zip 2.0
			ReaderVersion:  20,
			//lint:ignore SA1019 Modified would add an extra field that wheel does not write
			ModifiedDate:       1<<5 | 1,       // 1980-01-01, the first day a zip file knows
			ExternalAttrs:      0o100644 << 16, // a regular file, rw-r--r--
			CRC32:              crc32.ChecksumIEEE(f.content),
			CompressedSize64:   uint64(packed.Len()),
			UncompressedSize64: uint64(len(f.content)),
		}
		if strings.ContainsFunc(f.name, func(r rune) bool { return r > '~' }) {
			header.Flags = 0x800 // the name is UTF-8
		}
		entry, err := w.CreateRaw(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(packed.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
