package fabric

import "strings"

// Permissions is the kind of a resource that says who may do what with another one: the access list of a job.
const Permissions Kind = "permissions"

// Attached reports a kind of resources that are parts of others, which a fabric keeps apart from them. Such a part
// carries no mark: it is ours where what it is attached to is ours, and has the same id there. It is never deleted:
// what becomes of the other one becomes of it.
func (k Kind) Attached() bool { return k == Permissions }

// Attach is the key of what is attached to a resource: that of the access list of the job jobs/daily is
// jobs/daily:permissions, which comes after it wherever keys are sorted.
func Attach(to Key, k Kind) Key { return to + Key(":"+k) }

// AttachedTo is the key of the resource that one of that key and kind is attached to; false where it stands for itself.
func (k Key) AttachedTo(kind Kind) (Key, bool) {
	to, ok := strings.CutSuffix(string(k), ":"+string(kind))
	return Key(to), ok && kind.Attached()
}
