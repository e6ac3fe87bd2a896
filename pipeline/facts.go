package pipeline

import (
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
	add("static_keys", staticKeys(d.References, nil, d.Env)...)
	minted := len(d.IDTokens) > 0
	rights := map[string]string{}
	for i := range d.Jobs {
		job := &d.Jobs[i]
		add("variables", d.names(job.References, Variables)...)
		add("secrets", d.names(job.References, Secrets)...)
		add("static_keys", staticKeys(job.References, nil, slices.Concat(d.Env, job.Env))...)
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
			add("static_keys", staticKeys(s.References, s.Uses, slices.Concat(d.Env, job.Env, s.Env, s.With))...)
			if s.Uses != nil {
				add("uses", s.Uses.Text)
			}
		}
		minted = minted || len(job.IDTokens) > 0 || d.Rights(job)["id-token"] == "write"
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

// request is what a job asks to run on, as one word: a runner has all of its labels.
func request(job *Job) []string {
	switch {
	case job.Call != nil:
		return nil
	case job.Runner.Computed:
		return []string{Any}
	}
	labels := slices.Clone(job.Runner.Labels)
	if job.Runner.Group != "" {
		labels = append(labels, "group:"+job.Runner.Group)
	}
	if len(labels) == 0 {
		return nil
	}
	return []string{strings.Join(labels, "+")}
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
		"AWS_SECRET_ACCESS_KEY": "aws",
		"GOOGLE_CREDENTIALS":    "gcp",
		"ARM_CLIENT_SECRET":     "azure",
		"AZURE_CLIENT_SECRET":   "azure",
		"AZURE_CREDENTIALS":     "azure",
	}
)

// staticKeys are the secrets that hold a cloud's key, by what they are handed to: "aws:DEPLOY_KEY". Beside an address of its own, an AWS key is one
// of some other store that speaks S3, which has no other way to log in.
func staticKeys(refs []Reference, action *Component, beside []Setting) (keys []string) {
	for _, r := range refs {
		if r.Context != Secrets || r.Name == Any {
			continue
		}
		key := strings.ToLower(r.In)
		cloud := ""
		if _, variable, ok := strings.Cut(key, "env."); ok {
			cloud = keyVariables[strings.ToUpper(variable)]
		}
		if action != nil && cloud == "" {
			cloud = keyInputs[strings.ToLower(action.Name)+" "+key]
		}
		if cloud != "" && !(cloud == "aws" && slices.ContainsFunc(beside, isEndpoint)) {
			keys = append(keys, cloud+":"+r.Name)
		}
	}
	return keys
}

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
