package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxNames is how many names a fact lists; the inventory is there to be read by people too. More are cut off, which it shows by an ellipsis.
const maxNames = 500

// Facts are what the inventory says of a definition. One that is not there is empty if "whole" is true, and not known otherwise.
func (d *Definition) Facts() map[string]string {
	lists := map[string][]string{}
	add := func(fact string, names ...string) { lists[fact] = append(lists[fact], names...) }
	for _, e := range d.Events {
		add("events", e.Name)
	}
	for _, c := range d.Includes {
		add("uses", c.Text)
	}
	add("variables", d.names(d.References, Variables)...)
	add("secrets", d.names(d.References, Secrets)...)
	for _, k := range d.StaticKeys() {
		add("static_keys", k.Cloud+":"+k.Name)
	}
	minted := false
	rights := map[string]string{}
	for i := range d.Jobs {
		job := &d.Jobs[i]
		add("variables", d.names(job.References, Variables)...)
		add("secrets", d.names(job.References, Secrets)...)
		switch {
		case job.Environment.Computed:
			add("environments", Any)
		case job.Environment.Value != "":
			add("environments", job.Environment.Value)
		}
		if !job.Template {
			add("runs_on", request(job)...)
		}
		for _, c := range job.Code {
			add("uses", c.Text)
		}
		if job.Call != nil {
			add("calls", job.Call.Workflow.Text)
			if job.Call.Inherit {
				add("secrets", Any)
			}
		}
		for _, s := range job.Steps {
			add("variables", d.names(s.References, Variables)...)
			add("secrets", d.names(s.References, Secrets)...)
			if s.Uses != nil {
				add("uses", s.Uses.Text)
			}
		}
		minted = minted || d.Identified(job)
		if d.Dialect == GitHub {
			strongest(rights, d.Rights(job))
		}
	}
	for _, scope := range slices.Sorted(maps.Keys(rights)) {
		add("permissions", strings.TrimSuffix(scope+"="+rights[scope], "="))
	}
	facts := map[string]string{"whole": strconv.FormatBool(d.Whole())}
	if len(d.Jobs) > 0 {
		facts["id_token"] = strconv.FormatBool(minted)
	}
	for fact, names := range lists {
		if list := listed(names); list != "" {
			facts[fact] = list
		}
	}
	return facts
}

// Rights are what a job's token may do: its own permissions or else those of the definition. Nil says that the repository's default holds.
// The right to mint an identity is named even where all are granted at once.
func (d *Definition) Rights(job *Job) Permissions {
	p := job.Permissions
	if p == nil {
		p = d.Permissions
	}
	if all, ok := p[Any]; ok {
		p = maps.Clone(p)
		if _, own := p["id-token"]; !own && all == "write" {
			p["id-token"] = all
		}
	}
	return p
}

// Identified tells whether a job can have its identity confirmed, by an OpenID Connect token of its forge's.
func (d *Definition) Identified(job *Job) bool {
	return len(job.IDTokens) > 0 || d.Rights(job)["id-token"] == "write" || cmp.Or(job.OIDC, d.OIDC) == "true"
}

// strongest takes into rights what p grants beyond it. "default" stands for a job that states nothing.
func strongest(rights map[string]string, p Permissions) {
	if p == nil {
		rights["default"] = ""
	}
	rank := []string{"none", "read", "write"}
	for scope, right := range p {
		if have, ok := rights[scope]; !ok || slices.Index(rank, right) > slices.Index(rank, have) {
			rights[scope] = right
		}
	}
}

// names are those of one context that references take. The job's own token is a right, not a secret. What only a caller hands over has the name
// that the caller knows it by there.
func (d *Definition) names(refs []Reference, context Context) (names []string) {
	called := len(d.Events) == 1 && d.Events[0].Name == "workflow_call"
	for _, r := range refs {
		token := r.Name == "GITHUB_TOKEN" || r.Name == "GITEA_TOKEN"
		formal := called && slices.Contains(d.Formal, r.Name)
		if r.Context == context && !(context == Secrets && (token || formal)) {
			names = append(names, r.Name)
		}
	}
	return names
}

// request is what a job asks to run on, as one word: a runner has all of its labels. One that a matrix chooses asks for several.
func request(job *Job) (words []string) {
	if job.Call != nil {
		return nil
	}
	for _, labels := range job.Runner.Sets() {
		if word := strings.Join(labels, "+"); word != "" {
			words = append(words, word)
		}
	}
	if job.Runner.Computed {
		words = append(words, Any)
	}
	return words
}

// Where long-lived keys of clouds are handed over: inputs of the actions that log in, and variables that the clouds' own programs read.
var (
	keyInputs = map[string]string{
		"aws-actions/configure-aws-credentials with.aws-secret-access-key": "aws",
		"google-github-actions/auth with.credentials_json":                 "gcp",
		"google-github-actions/setup-gcloud with.service_account_key":      "gcp",
		"azure/login with.creds":                                           "azure",
	}
	keyVariables = map[string]string{
		"AWS_SECRET_ACCESS_KEY":          "aws",
		"AWS_SECRET_KEY":                 "aws",
		"GCLOUD_SERVICE_KEY":             "gcp",
		"GCP_CREDENTIALS":                "gcp",
		"GCP_SA_KEY":                     "gcp",
		"GCP_SERVICE_ACCOUNT_KEY":        "gcp",
		"GOOGLE_APPLICATION_CREDENTIALS": "gcp",
		"GOOGLE_CREDENTIALS":             "gcp",
		"GOOGLE_SERVICE_ACCOUNT_KEY":     "gcp",
		"ARM_CLIENT_SECRET":              "azure",
		"AZURE_CLIENT_SECRET":            "azure",
		"AZURE_CREDENTIALS":              "azure",
	}
)

// A StaticKey is a secret with a cloud's long-lived key, at a place where it is handed to what logs in.
type StaticKey struct {
	Cloud string // aws, gcp, azure
	Name  string // of the secret or variable
	In    string // the job and step, by their names
	At    Position
}

// StaticKeys are those that a definition hands on. Beside an address of its own, an AWS key is one of some other store that speaks S3, which has no
// other way to log in. On GitLab, where every job has all variables, they are those that it names, if it asks for no token that a cloud would take
// instead.
func (d *Definition) StaticKeys() (keys []StaticKey) {
	if d.Dialect == GitLab {
		return d.gitlabKeys()
	}
	other := hasEndpoint(d.Env)
	keys = staticKeys(d.References, "all jobs", nil, other)
	for i := range d.Jobs {
		job := &d.Jobs[i]
		in := "job " + job.ID
		other := other || hasEndpoint(job.Env) || slices.ContainsFunc(job.Steps, func(s Step) bool { return strings.Contains(s.Run, "--endpoint") })
		keys = append(keys, staticKeys(job.References, in, nil, other)...)
		for n := range job.Steps {
			s := &job.Steps[n]
			keys = append(keys, staticKeys(s.References, in+", step "+cmp.Or(s.ID, s.Name, strconv.Itoa(n+1)), s.Uses, other || hasEndpoint(s.Env) || hasEndpoint(s.With))...)
		}
	}
	return keys
}

// staticKeys are the secrets that hold a cloud's key, by what they are handed to or by what they are called themselves.
func staticKeys(refs []Reference, in string, action *Component, other bool) (keys []StaticKey) {
	for _, r := range refs {
		if r.Context != Secrets || r.Name == Any {
			continue
		}
		cloud := ""
		switch top, name, _ := strings.Cut(strings.ToLower(r.In), "."); {
		case top == "run":
			cloud = keyVariables[r.Name]
		case top == "with" && action != nil:
			input := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			cloud = cmp.Or(keyInputs[strings.ToLower(action.Name)+" "+strings.ToLower(r.In)], keyVariables[input], keyVariables[r.Name])
		default: // of the job, a container or a service
			if _, name, ok := strings.Cut(strings.ToLower(r.In), "env."); ok {
				cloud = keyVariables[strings.ToUpper(name)]
			}
		}
		if cloud != "" && !(cloud == "aws" && other) {
			keys = append(keys, StaticKey{cloud, r.Name, in, r.At})
		}
	}
	return keys
}

func (d *Definition) gitlabKeys() (keys []StaticKey) {
	other := hasEndpoint(d.Env)
	minted := false
	of := func(refs []Reference, in string) {
		for _, r := range refs {
			_, variable, _ := strings.Cut(r.In, "variables.")
			other = other || isEndpoint(Setting{Name: r.Name})
			if cloud := cmp.Or(keyVariables[r.Name], keyVariables[variable]); cloud != "" && (r.Name != variable) {
				keys = append(keys, StaticKey{cloud, r.Name, in, r.At})
			}
		}
	}
	of(d.References, "all jobs")
	for i := range d.Jobs {
		of(d.Jobs[i].References, "job "+d.Jobs[i].ID)
		other = other || hasEndpoint(d.Jobs[i].Env)
		minted = minted || len(d.Jobs[i].IDTokens) > 0
	}
	if minted || len(keys) == 0 {
		return nil
	}
	for _, scalar := range d.Root().Scalars() {
		other = other || strings.Contains(scalar.Text(), "--endpoint")
	}
	return slices.DeleteFunc(keys, func(k StaticKey) bool { return k.Cloud == "aws" && other })
}

func hasEndpoint(list []Setting) bool { return slices.ContainsFunc(list, isEndpoint) }

func isEndpoint(s Setting) bool {
	name := strings.ToLower(strings.ReplaceAll(s.Name, "-", "_"))
	return strings.Contains(name, "endpoint") && !strings.Contains(s.Value, "amazonaws.com")
}

// listed is the list that a fact is: sorted, each name once, without those that could be taken for two.
func listed(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" || strings.ContainsAny(n, ",\r\n") })
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxNames {
		names = append(names[:maxNames], "…")
	}
	return strings.Join(names, ",")
}
