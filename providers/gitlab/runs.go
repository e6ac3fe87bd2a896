package gitlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline/joblog"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/internal/unzip"
)

// A pipelineRun is one run of a project's definition.
type pipelineRun struct {
	ID        int        `json:"id"`
	SHA       string     `json:"sha"`
	Ref       string     `json:"ref"`
	Status    string     `json:"status"`
	Source    string     `json:"source"`
	CreatedAt *time.Time `json:"created_at"`
}

// A job is one attempt at a job of a pipeline.
type job struct {
	ID         int        `json:"id"`
	Name       string     `json:"name"`
	Stage      string     `json:"stage"`
	Status     string     `json:"status"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	ErasedAt   *time.Time `json:"erased_at"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpireAt   *time.Time `json:"artifacts_expire_at"`
	Archive    *struct {
		Name string `json:"filename"`
		Size int64  `json:"size"`
	} `json:"artifacts_file"`
	Artifacts []struct {
		Type string `json:"file_type"`
		Name string `json:"filename"`
		Size int64  `json:"size"`
	} `json:"artifacts"`
	Runner *struct {
		ID          int    `json:"id"`
		Description string `json:"description"`
		Type        string `json:"runner_type"`
	} `json:"runner"`
}

// runs reads what jobs printed and left, of every attempt, pipeline by pipeline: a pipeline is touched whenever one of its jobs is run, retried or
// played, so that later listings need ask for few. Those that others started are in the listing on request only.
func (r *records) runs() {
	if !r.has("builds") {
		return
	}
	v := &visit{records: r, runners: map[int]*seen{}, last: map[string]map[string]string{}}
	if r.job {
		v.withJobToken()
		return
	}
	for _, source := range []string{"", "parent_pipeline"} {
		query := r.since(map[string]string{"order_by": "id", "sort": "asc"})
		if source != "" {
			query["source"] = source
		}
		for x, err := range every(r, "/pipelines", query, func(x *pipelineRun) string { return strconv.Itoa(x.ID) }) {
			if err != nil {
				if !r.fail("pipelines", developer, err) {
					return
				}
				continue
			}
			if !v.pipeline(x) {
				return
			}
		}
	}
	if r.sources.Has(audit.SourceArtifacts) && !v.states() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.last)) {
		if !v.send(audit.Item{Kind: audit.KindLastRun, Entry: v.entry(audit.KindLastRun, name, v.last[name])}, nil) {
			return
		}
	}
	v.tell()
}

// mostNames is how many jobs are remembered by name. More than GitLab lets a pipeline have.
const mostNames = 1000

// copied is what GitLab adds to the name of a job that runs several times at once.
var copied = lazyregexp.New(`(?:: \[.*\]| \d+/\d+)$`)

// ran notes when a job ended, which may be the last time.
func (v *visit) ran(x *pipelineRun, j *job) {
	name, at := copied().ReplaceAllString(j.Name, ""), stamp(j.FinishedAt)
	if known := v.last[name]; known == nil && len(v.last) == mostNames || known["at"] > at {
		return
	}
	v.last[name] = map[string]string{"at": at, "event": x.Source, "conclusion": j.Status}
}

// withJobToken reads what a job's own token may: it lists jobs and fetches what they left, and is let see neither pipelines nor traces
// (docs.gitlab.com/ci/jobs/ci_job_token, "Job token access").
func (v *visit) withJobToken() {
	closed := &forge.Error{API: "gitlab", Method: http.MethodGet, Status: http.StatusForbidden}
	if v.sources.Has(audit.SourceLogs) && !v.fail("job traces", developer, closed) || !v.sources.Has(audit.SourceArtifacts) {
		return
	}
	type listed struct {
		job
		Pipeline pipelineRun `json:"pipeline"`
	}
	for x, err := range every(v.records, "/jobs", nil, func(x *listed) string { return strconv.Itoa(x.ID) }) {
		switch {
		case err != nil:
			if !v.fail("jobs", reporter, err) {
				return
			}
		case x.FinishedAt == nil || x.FinishedAt.Before(v.start()):
		case x.ErasedAt != nil:
			v.erased++
		case !v.artifacts(&x.Pipeline, &x.job):
			return
		}
	}
	if v.missed("Terraform states", developer, closed) {
		v.tell()
	}
}

// A visit is what is kept while a project's pipelines are walked over.
type visit struct {
	*records
	runners   map[int]*seen
	last      map[string]map[string]string // facts of the last run of each job, by its name
	erased    int
	variables struct { // of pipelines
		closed bool            // to the token
		listed map[string]bool // names that are in the inventory
	}
	dotenv int // that only browsers are handed
}

// seen is what traces tell of a runner.
type seen struct {
	name  string
	facts map[string]string
}

func (v *visit) pipeline(x *pipelineRun) bool {
	if !v.pipelineVariables(x) {
		return false
	}
	path := fmt.Sprintf("/pipelines/%d/jobs", x.ID)
	for j, err := range every(v.records, path, map[string]string{"include_retried": "true"}, func(j *job) string { return strconv.Itoa(j.ID) }) {
		switch {
		case err != nil:
			if !v.fail("jobs of pipelines", developer, err) {
				return false
			}
		case j.StartedAt == nil || j.FinishedAt == nil: // when it is done the pipeline is touched
		case j.FinishedAt.Before(v.start()): // known, or too old
		case !v.job(x, j):
			return false
		}
	}
	return true
}

func (v *visit) job(x *pipelineRun, j *job) bool {
	v.ran(x, j)
	if j.ErasedAt != nil {
		v.erased++
		return true
	}
	if v.sources.Has(audit.SourceLogs) && !v.trace(x, j) {
		return false
	}
	return !v.sources.Has(audit.SourceArtifacts) || v.artifacts(x, j)
}

// page is the address of a job's page.
func (v *visit) page(j *job) string {
	return v.client.page(v.target.Attrs["path"], "-/jobs", strconv.Itoa(j.ID))
}

// run is the pipeline's line in the inventory.
func (v *visit) run(x *pipelineRun) *audit.Entry {
	return v.entry(audit.KindRun, strconv.Itoa(x.ID), map[string]string{
		"event": x.Source, "head_sha": x.SHA, "conclusion": x.Status, "created_at": stamp(x.CreatedAt), "workflow": cmp.Or(v.configPath(), ".gitlab-ci.yml"),
	})
}

// trace sends what a job printed.
func (v *visit) trace(x *pipelineRun, j *job) bool {
	body, err := v.download(fmt.Sprintf("%s/jobs/%d/trace", v.place.path, j.ID), mostTrace)
	if err != nil {
		return v.fail("job traces", "role Developer, or Reporter where jobs are public", err)
	}
	defer func() { _ = body.Close() }()
	head := &prefix{in: body}
	of := joblog.Job{Name: j.Stage + " / " + j.Name}
	window := v.env.Memory.Share(64, maxWindow)
	for text, err := range joblog.Texts(head, int(window)) {
		if err != nil {
			return v.fail(fmt.Sprintf("trace of job %d", j.ID), developer, err)
		}
		it := audit.Item{
			Kind:   audit.KindLog,
			At:     audit.Location{Target: v.target.Name, Kind: audit.InLog, Path: fmt.Sprintf("pipelines/%d/jobs/%d", x.ID, j.ID), Name: of.Name, Commit: x.SHA, Ref: x.Ref, URL: v.page(j)},
			Origin: v.origin(text, of, v.page(j)),
			Entry:  v.run(x),
		}
		if j.FinishedAt != nil {
			it.At.At = *j.FinishedAt
		}
		if !v.lend(it, text.Content) {
			return false
		}
	}
	v.note(j, head.first)
	return true
}

// maxWindow is how much of a trace is scanned at once: most are smaller, as runners cut them at 4 MiB.
const maxWindow = 8 << 20

// origin leads from a place in the text of a trace to the line that people see.
func (v *visit) origin(text *joblog.Text, of joblog.Job, page string) func(audit.Location) audit.Location {
	return func(l audit.Location) audit.Location {
		if l.Line == 0 || strings.Contains(l.Path, "!") {
			return l
		}
		lines := l.EndLine - l.Line
		p := of.Place(text, l.Line)
		l.Line, l.Name = p.Line, of.Where(p)
		if l.EndLine != 0 {
			l.EndLine = p.Line + max(lines, 0)
		}
		l.URL = page + "#L" + strconv.Itoa(p.Line)
		if !p.At.IsZero() {
			l.At = p.At
		}
		return l
	}
}

// prefix keeps the beginning of what is read.
type prefix struct {
	in    io.Reader
	first []byte
}

// maxPrefix is how much of a trace is looked at for what it tells of its runner, which is in its first thirty lines.
const maxPrefix = 32 << 10

func (p *prefix) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	if room := maxPrefix - len(p.first); room > 0 {
		p.first = append(p.first, b[:min(n, room)]...)
	}
	return n, err
}

// note keeps what a trace tells of the runner: which program in which version, and how it keeps jobs apart.
func (v *visit) note(j *job, trace []byte) {
	if j.Runner == nil || j.Runner.ID == 0 {
		return
	}
	s := v.runners[j.Runner.ID]
	if s == nil {
		s = &seen{name: cmp.Or(j.Runner.Description, "runner "+strconv.Itoa(j.Runner.ID)), facts: map[string]string{"id": strconv.Itoa(j.Runner.ID), "type": j.Runner.Type}}
		v.runners[j.Runner.ID] = s
	}
	for k, fact := range runnerFacts(trace) {
		if fact != "" && (k != "privileged" || s.facts[k] != "true") { // what it let happen once it lets happen again
			s.facts[k] = fact
		}
	}
}

// runnerFacts reads the lines that a runner begins a trace with (gitlab-runner: common/build.go, executors). That containers are privileged no line
// says; but the Docker daemon, where a job has it as a service, does not start in others.
func runnerFacts(trace []byte) map[string]string {
	facts := map[string]string{}
	for l, err := range joblog.Lines(strings.NewReader(string(trace))) {
		if err != nil {
			break
		}
		line := strings.TrimSpace(string(l.Text))
		if rest, ok := strings.CutPrefix(line, "Running with gitlab-runner "); ok {
			facts["version"], _, _ = strings.Cut(rest, " ")
		}
		if _, rest, ok := strings.Cut(line, `Preparing the "`); ok {
			facts["executor"], _, _ = strings.Cut(rest, `" executor`)
		}
		if strings.HasPrefix(line, "Starting service ") && strings.Contains(line, "dind") {
			facts["privileged"] = "true"
		}
		if facts["privileged"] != "" && strings.Contains(line, "--privileged mode might break") {
			facts["privileged"] = "false"
		}
	}
	for k, fact := range facts {
		if len(fact) > 100 || strings.ContainsAny(fact, ",\r\n") { // a trace can say anything
			delete(facts, k)
		}
	}
	return facts
}

// tell sends what was counted and what is known of runners now.
func (v *visit) tell() {
	if v.erased > 0 {
		v.send(audit.Item{}, &audit.Gap{Target: v.target.Name, What: fmt.Sprintf("traces and artifacts of %d jobs", v.erased), Why: "somebody has erased them"})
	}
	if v.dotenv > 0 {
		v.send(audit.Item{}, &audit.Gap{Target: v.target.Name, What: fmt.Sprintf("dotenv reports of %d jobs", v.dotenv), Why: "GitLab hands them to browsers of members only"})
	}
	for id := range v.runners {
		s := v.runners[id]
		if s.facts["version"] != "" || s.facts["executor"] != "" {
			v.send(v.item(audit.KindRunner, audit.InRunner, s.name, v.place.page, s.facts), nil)
		}
	}
}

// artifacts sends the files that a job left.
func (v *visit) artifacts(x *pipelineRun, j *job) bool {
	for _, a := range j.Artifacts {
		if a.Type == "dotenv" && !v.report(x, j, a.Name, a.Size) {
			return false
		}
	}
	if j.Archive == nil || j.Archive.Name == "" {
		return true
	}
	entry := v.artifact(x, j, j.Archive.Name, j.Archive.Size)
	body, err := v.download(fmt.Sprintf("%s/jobs/%d/artifacts", v.place.path, j.ID), mostArtifact)
	if err != nil {
		if j.ExpireAt != nil && j.ExpireAt.Before(v.env.Now()) {
			return true // since the listing
		}
		return v.fail("job artifacts", "role Developer, or Reporter where jobs are public", err)
	}
	defer func() { _ = body.Close() }()
	outer := fmt.Sprintf("pipelines/%d/jobs/%d/%s", x.ID, j.ID, j.Archive.Name)
	for m, err := range unzip.Members(body, unzip.Limits{Members: maxMembers, Bytes: mostArtifact}) {
		if one := (*unzip.MemberError)(nil); errors.As(err, &one) {
			if !v.send(audit.Item{}, &audit.Gap{Target: v.target.Name, What: outer + "!" + one.Name, Why: one.Why}) {
				return false
			}
			continue
		}
		if err != nil {
			return v.broken(outer, err)
		}
		content, err := v.read(m, v.mayHold())
		if errors.Is(err, forge.ErrTooLarge) {
			if !v.send(audit.Item{}, &audit.Gap{Target: v.target.Name, What: outer + "!" + m.Name, Why: err.Error()}) {
				return false
			}
			continue
		}
		if err != nil {
			return v.broken(outer, err)
		}
		it := audit.Item{Kind: audit.KindArtifact, Entry: entry, At: audit.Location{
			Target: v.target.Name, Kind: audit.InArtifact, Path: outer + "!" + m.Name, Name: j.Stage + " / " + j.Name, Commit: x.SHA, Ref: x.Ref,
			URL: v.page(j) + "/artifacts/file/" + (&url.URL{Path: m.Name}).EscapedPath(),
		}}
		if !v.lend(it, content) {
			return false
		}
	}
	return true
}

// maxMembers bounds an archive: GitLab's own bound on files is far below.
const maxMembers = 1_000_000

// broken is a gap of an archive that could not be read to its end.
func (v *visit) broken(outer string, err error) bool {
	if v.ctx.Err() != nil {
		return v.send(audit.Item{}, v.ctx.Err())
	}
	if !errors.Is(err, unzip.ErrNoZip) && !errors.Is(err, unzip.ErrLimit) && !errors.Is(err, forge.ErrTooLarge) {
		v.lost = true
	}
	return v.send(audit.Item{}, &audit.Gap{Target: v.target.Name, What: outer, Why: short(err.Error())})
}

func (v *visit) artifact(x *pipelineRun, j *job, name string, size int64) *audit.Entry {
	return v.entry(audit.KindArtifact, name, map[string]string{
		"run": strconv.Itoa(x.ID), "size": strconv.FormatInt(size, 10), "created_at": stamp(j.FinishedAt), "expires_at": stamp(j.ExpireAt),
	})
}

// report sends the variables that a job leaves to later ones. The API does not have them, and the page that has hands them to whom it lets in without a
// token: to everybody, where jobs are public.
func (v *visit) report(x *pipelineRun, j *job, name string, size int64) bool {
	body, err := v.download("/"+v.target.Attrs["path"]+"/-/jobs/"+strconv.Itoa(j.ID)+"/artifacts/download?file_type=dotenv", mostText)
	if err != nil {
		if v.ctx.Err() != nil {
			return v.send(audit.Item{}, v.ctx.Err())
		}
		v.dotenv++
		return true
	}
	defer func() { _ = body.Close() }()
	content, err := v.read(body, mostText)
	if err != nil {
		return v.broken(fmt.Sprintf("dotenv report of job %d", j.ID), err)
	}
	return v.lend(audit.Item{Kind: audit.KindArtifact, Entry: v.artifact(x, j, name, size), At: audit.Location{
		Target: v.target.Name, Kind: audit.InArtifact, Path: fmt.Sprintf("pipelines/%d/jobs/%d/%s", x.ID, j.ID, cmp.Or(name, ".env")), Name: j.Stage + " / " + j.Name,
		Commit: x.SHA, Ref: x.Ref, URL: v.page(j),
	}}, content)
}

// maxListed is how many names of variables that pipelines were started with the inventory has.
const maxListed = 500

// givenVariables tells whether whoever starts a pipeline in this way can give it variables.
func givenVariables(source string) bool {
	switch source {
	case "trigger", "api", "web", "chat", "pipeline", "parent_pipeline":
		return true
	}
	return false
}

// pipelineVariables sends the variables that whoever started a pipeline gave to it. Those of schedules are with the schedule.
func (v *visit) pipelineVariables(x *pipelineRun) bool {
	if !givenVariables(x.Source) {
		return true
	}
	if v.variables.closed || !v.sources.Has(audit.SourceVariables) {
		return true
	}
	var all []*struct {
		Key   string  `json:"key"`
		Value *string `json:"value"`
		Type  string  `json:"variable_type"`
		Raw   *bool   `json:"raw"`
	}
	if _, err := v.get(v.ctx, fmt.Sprintf("%s/pipelines/%d/variables", v.place.path, x.ID), nil, "", &all); err != nil {
		if v.variables.closed = forge.StatusOf(err) == http.StatusForbidden; v.variables.closed {
			return v.refuse("pipeline variables", maintainer, err) // most tokens may not, and shall not read all traces anew each time for that
		}
		return v.fail("pipeline variables", maintainer, err)
	}
	for _, one := range all {
		if one == nil {
			continue
		}
		it := audit.Item{Kind: audit.KindVariable, At: audit.Location{
			Target: v.target.Name, Kind: audit.InVariable, Name: one.Key, Commit: x.SHA, Ref: x.Ref,
			URL: v.client.page(v.target.Attrs["path"], "-/pipelines", strconv.Itoa(x.ID)),
		}}
		if v.variables.listed == nil {
			v.variables.listed = map[string]bool{}
		}
		if !v.variables.listed[one.Key] && len(v.variables.listed) < maxListed {
			v.variables.listed[one.Key] = true
			it.Entry = v.entry(audit.KindVariable, one.Key, map[string]string{
				"store": "trigger", "type": one.Type, "raw": yesNo(one.Raw), // they have no other flags
			})
		}
		value := ""
		if one.Value != nil {
			value = *one.Value
		}
		if !v.lend(it, []byte(value)) {
			return false
		}
	}
	return true
}

// stateNames asks which Terraform states there are; REST hands one out by its name only.
const stateNames = `query($path: ID!, $after: String) { project(fullPath: $path) { terraformStates(first: 100, after: $after) {
  nodes { name } pageInfo { hasNextPage endCursor } } } }`

// states sends the Terraform states that the project keeps: they have each resource's attributes, passwords too.
func (v *visit) states() bool {
	type state struct {
		Name string `json:"name"`
	}
	for s, err := range forge.Pages(v.ctx, func(s *state) string { return s.Name }, func(ctx context.Context, cursor string) (page forge.Page[*state], err error) {
		var answer struct {
			Project *struct {
				States *struct {
					Nodes []*state `json:"nodes"`
					Info  struct {
						More bool   `json:"hasNextPage"`
						End  string `json:"endCursor"`
					} `json:"pageInfo"`
				} `json:"terraformStates"`
			} `json:"project"`
		}
		variables := map[string]any{"path": v.target.Attrs["path"]}
		if cursor != "" {
			variables["after"] = cursor
		}
		if err := v.query(ctx, stateNames, variables, &answer); err != nil || answer.Project == nil || answer.Project.States == nil {
			return page, cmp.Or(err, error(&forge.Error{API: "gitlab", Method: http.MethodPost, Status: http.StatusForbidden}))
		}
		for _, s := range answer.Project.States.Nodes {
			if s != nil {
				page.Items = append(page.Items, s)
			}
		}
		if answer.Project.States.Info.More {
			page.Next = answer.Project.States.Info.End
		}
		return page, nil
	}) {
		if err != nil {
			if !v.missed("Terraform states", developer, err) {
				return false
			}
			continue
		}
		body, err := v.download(v.place.path+"/terraform/state/"+url.PathEscape(s.Name), mostState)
		if err != nil {
			if !v.missed("Terraform states", developer, err) {
				return false
			}
			continue
		}
		content, err := v.read(body, v.mayHold())
		_ = body.Close()
		if err != nil {
			if !v.broken("Terraform state "+s.Name, err) {
				return false
			}
			continue
		}
		if !v.lend(audit.Item{Kind: audit.KindArtifact, Entry: v.entry(audit.KindArtifact, s.Name, map[string]string{"size": strconv.Itoa(len(content))}), At: audit.Location{
			Target: v.target.Name, Kind: audit.InArtifact, Path: "terraform/" + s.Name + ".tfstate", Name: "Terraform state " + s.Name,
			URL: v.client.page(v.target.Attrs["path"], "-/terraform"),
		}}, content) {
			return false
		}
	}
	return true
}
