package databricks

import (
	"fmt"
	"path"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// sources puts our paths in place of those in the repository that a job names, each below a folder that is named by
// what it holds: the same bytes have the same path, on every release. A notebook loses its ending, as the
// workspace has it.
func (n *rendering) sources(d *draft) {
	has := map[string]bool{} // what the job needs already
	for _, b := range d.Blobs {
		has[b.Path] = true
	}
	for _, u := range artifacts.Uses(d.request) {
		subject := d.subject(d.at) + "." + u.Field
		refuse := func(particulars string) { d.blockFor(configs.FileMissing, subject, particulars) }
		root := n.Root
		if strings.HasPrefix(root, "/Volumes/") && u.Kind != artifacts.UseRequirements && !strings.HasSuffix(u.Field, ".python_file") {
			root = n.Sources // notebooks, SQL files and dbt projects are run from the workspace alone
		}
		folder, file := n.release.FolderAt(u.Path), n.release.FileAt(u.Path, u.Kind)
		switch {
		case u.Why != "":
			refuse(u.Why)
		case root == "":
			refuse(fmt.Sprintf("%q can't lie in a volume, and the workspace did not say who logs in; expected a folder below /Workspace as artifacts of the fabric", shorten(u.Path, mostOfKey)))
		case u.Kind == artifacts.UseFolder && folder != nil:
			at := path.Join(root, folder.Digest)
			for _, f := range folder.Files {
				n.source(d, has, fabric.Blob{SHA256: f.SHA256, Name: path.Base(f.Path), Size: f.Size, Path: path.Join(at, f.Path)}, path.Join(folder.Path, f.Path), f)
			}
			u.Put(at)
		case u.Kind == artifacts.UseNotebook && file != nil && file.Notebook != "":
			name := safeName(strings.TrimSuffix(path.Base(file.Path), path.Ext(file.Path)))
			u.Put(n.source(d, has, fabric.Blob{SHA256: file.SHA256, Name: name, Size: file.Size, Notebook: file.Notebook, Path: path.Join(root, file.SHA256, "notebook", name)}, file.Path, *file))
		case u.Kind != artifacts.UseFolder && u.Kind != artifacts.UseNotebook && file != nil:
			name := safeName(path.Base(file.Path))
			u.Put(n.source(d, has, fabric.Blob{SHA256: file.SHA256, Name: name, Size: file.Size, Path: path.Join(root, file.SHA256, name)}, file.Path, *file))
		default: // what a committed job names is there, or blocks it before
			refuse(fmt.Sprintf("%q is named by no committed job, so that the release does not hold it", shorten(u.Path, mostOfKey)))
		}
	}
}

// source notes that the job needs a file of the repository, and returns where it lies on the fabric.
func (n *rendering) source(d *draft, has map[string]bool, b fabric.Blob, file string, f artifacts.File) string {
	if !has[b.Path] {
		has[b.Path] = true
		d.Blobs = append(d.Blobs, b)
		for _, c := range f.Calls {
			if d.blocked != nil || d.told >= mostCalls {
				break
			}
			n.call(d, path.Join(n.release.Path, file), fmt.Sprintf("line %d", c.Line), c.Host)
		}
	}
	return b.Path
}
