package resolve

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// maxInventory is how long the facts of all jobs of one repository may be, in bytes. A hundred workflows have some hundred kilobytes.
const maxInventory = 8 << 20

// Items yields the jobs as a provider does, and gaps: a job is nothing but its entry in the inventory. docs/inventory.md has the facts; [FromEntry] reads them.
func (r *Result) Items(target, scope string) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		gaps := slices.Clone(r.Gaps)
		size := 0
		for i := range r.Jobs {
			j := &r.Jobs[i]
			facts := j.facts()
			for _, text := range facts {
				size += len(text)
			}
			if size > maxInventory {
				gaps = append(gaps, audit.Gap{What: "jobs", Why: fmt.Sprintf("after %d of %d they are too long to be listed", i, len(r.Jobs))})
				break
			}
			it := audit.Item{
				Kind: audit.KindJob, At: audit.Location{Target: target, Kind: audit.InWorkflow, Path: j.Workflow, Name: j.ID},
				Entry: &audit.Entry{Target: target, Kind: audit.KindJob, Name: j.Name(), Scope: scope, Facts: facts},
			}
			if !yield(it, nil) {
				return
			}
		}
		for _, g := range gaps {
			g.Target = target
			if !yield(audit.Item{}, &g) {
				return
			}
		}
	}
}

// Name is what tells a job from the others of its repository: the file that starts it, and the jobs that lead to it, as forges show them: "build.yml: test / unit".
func (j *Job) Name() string {
	var chain []string
	for _, c := range j.Calls {
		chain = append(chain, c.Job)
	}
	return word(j.Workflow) + ": " + word(strings.Join(append(chain, j.ID), " / "))
}

func (j *Job) facts() map[string]string {
	var t table
	facts := map[string]string{
		"workflow": word(j.Workflow), "path": word(j.Place.Path), "repository": word(j.Place.Repository), "ref": word(j.Place.Ref), "job": word(j.ID), "at": position(j.At),
		"environment": word(j.Environment.Value), "labels": audit.NameList(j.Runner.Labels), "group": word(j.Runner.Group),
	}
	if j.Environment.Computed {
		facts["environment_computed"] = "true"
	}
	if j.Runner.Computed {
		facts["runner_computed"] = "true"
	}
	if j.OIDC {
		facts["openid_connect"] = "true"
	}
	for _, c := range j.Calls {
		t.row("calls", c.Job, position(c.At), c.Place.Path, c.Place.Repository, c.Place.Ref)
	}
	for _, e := range j.Events {
		cells := []string{e.Name, position(e.At)}
		for _, f := range e.Filters {
			for _, v := range f.Values {
				cells = append(cells, f.Name+"="+v)
			}
		}
		t.row("events", cells...)
	}
	for _, c := range j.Conditions {
		t.row("conditions", c)
	}
	if j.Rights != nil {
		rights := []string{}
		for _, right := range slices.Sorted(maps.Keys(j.Rights)) {
			rights = append(rights, word(right+"="+j.Rights[right]))
		}
		facts["permissions"] = cmp.Or(audit.NameList(rights), "none")
	}
	for _, s := range j.IDTokens {
		t.row("id_tokens", s.Name, s.Value)
	}
	for _, s := range j.Secrets {
		t.row("takes", string(s.Context), s.Name, s.As, s.In, position(s.At), s.Possible)
	}
	for fact, list := range map[string][]Component{"beside": j.Beside, "includes": j.Includes} {
		for _, c := range list {
			opaque := ""
			if c.Opaque {
				opaque = "opaque"
			}
			pin := strings.TrimSuffix(string(c.Pin)+" "+c.Commit, " ")
			t.row(fact, append([]string{string(c.Kind), c.Text, c.Name, c.Ref, pin, position(c.At), opaque}, c.Through...)...)
		}
	}
	for _, u := range j.Unknown {
		t.row("unknown", u)
	}
	return t.into(facts)
}

// FromEntry is the job that an entry was made of. Names of more than 500 bytes are cut off, and the number of values that a fact has is bounded.
func FromEntry(e audit.Entry) (j Job) {
	f := e.Facts
	j = Job{
		Workflow: f["workflow"], Place: pipeline.Place{Path: f["path"], Repository: f["repository"], Ref: f["ref"]}, ID: f["job"], At: positioned(f["at"]),
		Environment: pipeline.Text{Value: f["environment"], Computed: f["environment_computed"] == "true"},
		Runner:      pipeline.Runner{Group: f["group"], Computed: f["runner_computed"] == "true"},
		Conditions:  lines(f["conditions"]), Unknown: lines(f["unknown"]), OIDC: f["openid_connect"] == "true",
	}
	if f["labels"] != "" {
		j.Runner.Labels = strings.Split(f["labels"], ",")
	}
	for _, c := range rows(f["calls"]) {
		j.Calls = append(j.Calls, Call{Job: c.cell(0), At: positioned(c.cell(1)), Place: pipeline.Place{Path: c.cell(2), Repository: c.cell(3), Ref: c.cell(4)}})
	}
	for _, c := range rows(f["events"]) {
		event := pipeline.Event{Name: c.cell(0), At: positioned(c.cell(1))}
		for _, text := range c[min(2, len(c)):] {
			name, value, _ := strings.Cut(text, "=")
			if n := len(event.Filters); n == 0 || event.Filters[n-1].Name != name {
				event.Filters = append(event.Filters, pipeline.Filter{Name: name})
			}
			last := &event.Filters[len(event.Filters)-1]
			last.Values = append(last.Values, value)
		}
		j.Events = append(j.Events, event)
	}
	if f["permissions"] != "" {
		j.Rights = pipeline.Permissions{}
		for text := range strings.SplitSeq(f["permissions"], ",") {
			if right, level, ok := strings.Cut(text, "="); ok {
				j.Rights[right] = level
			}
		}
	}
	for _, c := range rows(f["id_tokens"]) {
		j.IDTokens = append(j.IDTokens, pipeline.Setting{Name: c.cell(0), Value: c.cell(1)})
	}
	for _, c := range rows(f["takes"]) {
		j.Secrets = append(j.Secrets, Secret{
			Context: pipeline.Context(c.cell(0)), Name: c.cell(1), As: c.cell(2), In: c.cell(3), At: positioned(c.cell(4)), Possible: c.cell(5),
		})
	}
	j.Beside, j.Includes = components(f["beside"]), components(f["includes"])
	return j
}

func components(text string) (list []Component) {
	for _, c := range rows(text) {
		component := Component{Opaque: c.cell(6) != ""}
		component.Kind, component.Text, component.Name, component.Ref = pipeline.ComponentKind(c.cell(0)), c.cell(1), c.cell(2), c.cell(3)
		pin, commit, _ := strings.Cut(c.cell(4), " ")
		component.Pin, component.Commit, component.At = pipeline.Pin(pin), commit, positioned(c.cell(5))
		if len(c) > 7 {
			component.Through = c[7:]
		}
		list = append(list, component)
	}
	return list
}

// A table are facts of several lines.
type table map[string][]string

// row adds a line of cells to a fact.
func (t *table) row(fact string, cells ...string) {
	if *t == nil {
		*t = table{}
	}
	cells = slices.Clone(cells)
	for i, text := range cells {
		cells[i] = word(text)
	}
	(*t)[fact] = append((*t)[fact], strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

// into adds the table to facts, which then have none that is empty.
func (t table) into(facts map[string]string) map[string]string {
	for fact, lines := range t {
		facts[fact] = strings.Join(lines, "\n")
	}
	maps.DeleteFunc(facts, func(_, text string) bool { return text == "" })
	return facts
}

// A row is a line's cells.
type row []string

// cell is one of them; what was left out at the end is empty.
func (r row) cell(n int) string {
	if n >= len(r) {
		return ""
	}
	return r[n]
}

func rows(text string) (list []row) {
	for _, line := range lines(text) {
		list = append(list, strings.Split(line, "\t"))
	}
	return list
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// word is a text that stands in a cell.
func word(s string) string {
	const most = 500 // bytes; names that people write have some dozen, conditions some hundred
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// position is "line:column"; "" for none.
func position(p pipeline.Position) string {
	if p.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%d", p.Line, p.Column)
}

func positioned(text string) (p pipeline.Position) {
	line, column, _ := strings.Cut(text, ":")
	p.Line, _ = strconv.Atoi(line) // 0 is unknown
	p.Column, _ = strconv.Atoi(column)
	return p
}
