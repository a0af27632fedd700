package reconciler

import (
	"selvage/configs"
	"selvage/fabric"
)

// readings are what was odd about reading the resources of the deployment, as the look has it.
func (rd *round) readings() []configs.Finding {
	var found []configs.Finding
	for _, o := range rd.live.Objects() {
		if len(o.Notes) > 0 && o.Mark.Installation == rd.Installation && o.Mark.Deployment == fabric.Slug(rd.name) {
			found = append(found, o.Notes...)
		}
	}
	return found
}
