package reconciler

import "selvage/fabric"

// attachedKinds are the kinds of what may be attached to a resource and goes along with it.
var attachedKinds = []fabric.Kind{fabric.Permissions}

// attached are the keys of what is attached to a resource and stands among these.
func attached(among map[fabric.Key]Applied, k fabric.Key) []fabric.Key {
	var keys []fabric.Key
	for _, kind := range attachedKinds {
		part := fabric.Attach(k, kind)
		if a, ok := among[part]; ok && a.Kind == kind {
			keys = append(keys, part)
		}
	}
	return keys
}

// moveAttached has what is attached to a resource go on under the resource's new key.
func (s *state) moveAttached(dep string, from, to fabric.Key) {
	for _, old := range attached(s.applied[dep], from) {
		a := s.applied[dep][old]
		s.disown(dep, old)
		if k := fabric.Attach(to, a.Kind); s.applied[dep][k].ID == "" { // it was not written under the new key meanwhile
			s.apply(dep, k, a)
		}
	}
	for _, old := range attached(s.formerly[dep], from) {
		a := s.formerly[dep][old]
		k := fabric.Attach(to, a.Kind)
		set(s.formerly, dep, k, a)
		s.table.put("formerly", dep, string(k), a)
		delete(s.formerly[dep], old)
		s.table.drop("formerly", dep, string(old))
	}
}

// take has what was released owned again.
func (s *state) take(dep string, k fabric.Key) {
	a, ok := s.formerly[dep][k]
	if !ok {
		return
	}
	for _, part := range attached(s.formerly[dep], k) {
		s.take(dep, part)
	}
	delete(s.formerly[dep], k)
	s.table.drop("formerly", dep, string(k))
	s.apply(dep, k, a)
}
