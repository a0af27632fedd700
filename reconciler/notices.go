package reconciler

import (
	"selvage/configs"
	"selvage/fabric"
)

// notices are what a plan says of jobs that are kept or stay paused, or wait to go or to come, for as long as a person should know.
func notices(p Plan) []configs.Finding {
	var fs []configs.Finding
	for _, c := range p.Changes {
		switch c.Reason.Code {
		case configs.Protected, configs.InQuarantine, configs.QuarantineEdited, configs.ActiveRunsFound, configs.StillElsewhere, configs.PausedByHand:
			fs = append(fs, c.Reason)
		case configs.LeftFabric:
			if c.Action == fabric.Leave { // not paused yet
				fs = append(fs, c.Reason)
			}
		}
	}
	return fs
}
