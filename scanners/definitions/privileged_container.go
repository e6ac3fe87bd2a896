package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var privilegedContainer = rule{
	Rule: known.PrivilegedContainer,
	judge: func(f *file, say func(problem)) {
		if f.kind == isAction {
			return
		}
		for _, j := range f.jobs {
			j.privileges(func(at pipeline.Position, what string) {
				p := problem{at: at, name: j.label() + ", " + what, evidence: fmt.Sprintf("%s asks for %s", j.label(), what)}
				switch j.machine() {
				case ownMachine:
					p.evidence += " on a machine of the owner's, which stays"
				case hostedMachine:
					p.severity, p.evidence = audit.Low, p.evidence+" on a machine of the forge's"
				default:
					p.severity, p.evidence = audit.Medium, p.evidence+"; whose machine that is, the definition does not tell"
				}
				say(p)
			})
		}
	},
}

var (
	// privileges are options of a container that give it its host: docs.docker.com, "docker container run".
	privileges = lazyregexp.New(`--privileged\b(?:[ =]?true)?|--cap-add[= ]["']?(?:CAP_)?(?:ALL|SYS_ADMIN|SYS_PTRACE|SYS_MODULE)\b|--(?:pid|userns)[= ]host\b|--security-opt[= ]\S*(?:seccomp|apparmor)[=:]unconfined`)
	engineRun  = lazyregexp.New(`\b(?:docker|podman|nerdctl)\s+(?:container\s+)?(?:run|create)\s[^\n;&|]*`)
	engine     = lazyregexp.New(`(?:/var)?/run/(?:docker|containerd/containerd|podman/podman)\.sock\b`)
	dind       = lazyregexp.New(`^(?:[\w.-]+(?::\d+)?/)*docker:(?:[\w.-]*-)?dind(?:-rootless)?(?:@|$)`)
)

// privileges tells of each thing in a job that makes a container as good as its machine's root. What a script starts counts on a machine of the owner's only:
// on others it is how images are built.
func (j *job) privileges(tell func(at pipeline.Position, what string)) {
	if j.kind == isGitLab {
		for _, c := range j.model.Code {
			if dind().MatchString(c.Text) {
				tell(c.At, "Docker in Docker ("+c.Text+")")
			}
		}
		return
	}
	container := func(n pipeline.Node) {
		if what := privileges().FindString(n.Get("options").Text()); what != "" {
			tell(n.Get("options").At(), "a container with "+what)
		}
		if what := engine().FindString(n.Get("options").Text()); what != "" {
			tell(n.Get("options").At(), "a container with "+what)
		}
		for volume := range n.Get("volumes").Items() {
			if what := engine().FindString(volume.Text()); what != "" || strings.HasPrefix(volume.Text(), "/:") {
				tell(volume.At(), "a container with "+volume.Text())
			}
		}
	}
	container(j.node.Get("container"))
	for _, service := range j.node.Get("services").Pairs() {
		container(service)
	}
	if j.machine() != ownMachine {
		return
	}
	j.eachScript(func(name string, script pipeline.Node) {
		for l := range commandLines(script.Text()) {
			for _, command := range engineRun().FindAllString(l.text, maxProblems) {
				if what := privileges().FindString(command); what != "" {
					tell(script.Place(l.offset), name+", a container with "+what)
				} else if what := engine().FindString(command); what != "" {
					tell(script.Place(l.offset), name+", a container with "+what)
				}
			}
		}
	})
}
