package settings

import (
	"cmp"
	"fmt"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var privilegedContainer = rule{
	Rule: known.PrivilegedContainer,
	of:   audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["privileged"] != "true" || !sharedRunner(e) || e.Facts["type"] == "instance_type" && p.host() == "gitlab.com" {
			return fine
		}
		executor := cmp.Or(e.Facts["executor"], "not known")
		return p.once("privileged", e, fmt.Sprintf("privileged (executor %s), and jobs of several projects run on it (%s)", executor, e.Facts["type"]))
	},
}

// privilegedContainerJob is the same rule for the job that the run is part of, which sees of its container itself whether it is one.
var privilegedContainerJob = rule{
	Rule: privilegedContainer.Rule,
	of:   audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["privileged"] != "true" || !p.stays(e) {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("the job's container (%s) may do what its machine's root may", e.Facts["container"])}
	},
}
