package forgetest

import "time"

// An Owner is an organisation or a user.
type Owner struct {
	Login  string
	User   bool
	Hidden int // private repositories that exist beyond those listed

	Variables []Variable // of the Actions store
	Secrets   []Secret   // likewise
	Stores    map[string]Store

	Policy     Policy
	Runners    []Runner // of all groups
	Groups     []RunnerGroup
	Rulesets   []Ruleset
	Hooks      []Hook
	Apps       []App
	Grants     []Grant
	Members    []string
	Teams      []Team
	Gists      []Gist // of a user
	Packages   []Package
	Properties []string
}

// A GitHubRepo is a repository.
type GitHubRepo struct {
	FullName string
	ID       int64
	Private  bool
	Internal bool // visible to the enterprise; Private then is true as well
	Archived bool
	Fork     bool
	Dir      string   // bare git repository; "" is an empty one
	Wiki     string   // likewise, of its wiki; "" for none
	NoPages  bool     // where Wiki is "": the wiki is switched on all the same
	CloneURL string   // what the API says instead of the truth
	Was      []string // former full names, which redirect here
	Gone     bool     // listed, and 404 everywhere else
	Pushed   time.Time

	Variables []Variable // of the Actions store
	Secrets   []Secret   // likewise
	Stores    map[string]Store

	Environments  []Environment
	Runners       []Runner
	Policy        *Policy // nil is the owner's
	Rulesets      []Ruleset
	Protected     map[string]Protection // branches by name
	Keys          []DeployKey
	Hooks         []Hook
	Collaborators []Collaborator

	Runs       []Run // the newest first
	Caches     []Cache
	Activities []Activity // likewise

	Issues         []Issue // pull requests too, the newest first
	CommitComments []Comment
	Releases       []Release
}

// A Store has what the workflows of one product are given: "dependabot", "codespaces", "agents". That of Actions are fields of their own.
type Store struct {
	Secrets   []Secret
	Variables []Variable
}

// A Variable is a CI variable.
type Variable struct {
	Name, Value, Visibility string
	Repositories            []string // full names, where the visibility is "selected"
	Created, Updated        time.Time
}

// A Secret is a CI secret; its value is nobody's business.
type Secret struct {
	Name, Visibility string
	Repositories     []string // full names, where the visibility is "selected"
	Created, Updated time.Time
}

// An Environment is a deployment environment.
type Environment struct {
	Name      string
	Variables []Variable
	Secrets   []Secret

	Reviewers         bool     // asks for a review
	ReviewedBy        []string // User:LOGIN, Team:SLUG
	PreventSelfReview bool
	NoBypass          bool // not even for administrators
	Wait              int  // minutes
	Branches          string
	Policies          []BranchPolicy // where Branches is "selected"; else it is "protected", or "" for all
	Custom            []string       // slugs of the apps that are asked
}

// A BranchPolicy lets branches or tags deploy whose name matches.
type BranchPolicy struct {
	Pattern string
	Tag     bool
}

// A Runner is a self-hosted runner.
type Runner struct {
	Name, OS  string
	Labels    []string
	Ephemeral bool
	Version   string // "" is a recent one
	Offline   bool
	Group     int64 // id; 0 is the default group's, 1
}

// A RunnerGroup is a group of an organisation's runners.
type RunnerGroup struct {
	ID           int64
	Name         string
	Visibility   string   // all, private, selected; "" is all
	Repositories []string // full names, where the visibility is "selected"
	Public       bool     // serves public repositories
	Workflows    []string // the only ones it serves; nil for no such restriction
	Default      bool
	Inherited    bool
}

// A Policy is what an organisation or repository lets workflows do. The zero Policy is that of an organisation nobody has touched
// since GitHub made read the default of the workflow's token.
type Policy struct {
	Actions     string // all, selected, none; of a repository, none switches them off
	Allowed     string // all, local_only, selected
	Patterns    []string
	GitHubOwned bool
	Verified    bool
	SHAPinning  bool

	WriteToken         bool
	ApprovePulls       bool
	Retention          int // days; 0 is 90
	ForkApproval       string
	ForkWorkflows      bool // the rest is of private repositories
	ForkWriteTokens    bool
	ForkSecrets        bool
	ForkApprovalNeeded bool
	Access             string // of a private repository: none, user, organization, enterprise
	RepositoryRunners  string // of an organisation: all, selected, none

	Subject   []string // claims; nil is the default
	Immutable bool
}

// A Ruleset is one of an organisation or a repository.
type Ruleset struct {
	ID               int64
	Name             string
	Target           string // branch, tag, push; "" is branch
	Enforcement      string // active, evaluate, disabled; "" is active
	Include, Exclude []string
	Except           []string // repositories of its organisation that it is not for, by name
	Rules            []string // types without parameters
	Reviews          int      // if not 0, a pull request with so many approvals is asked for
	Bypass           []Bypass // shown to those who may write
}

// A Bypass is who need not obey a ruleset.
type Bypass struct {
	ID         int64
	Type, Mode string // such as Team, always
}

// A Protection is that of a branch.
type Protection struct {
	Reviews     int
	Admins      bool     // it binds them too
	Push        []string // the only users who may
	ForcePushes bool
}

// A DeployKey is an SSH key that opens one repository.
type DeployKey struct {
	ID                int64
	Title, AddedBy    string
	Write             bool
	Created, LastUsed time.Time
}

// A Hook is a webhook.
type Hook struct {
	ID       int64
	URL      string
	Events   []string
	Secret   bool
	Insecure bool // does not verify certificates
	Inactive bool
}

// An App is one that is installed in an organisation.
type App struct {
	ID          int64
	Slug        string
	Permissions map[string]string
	Events      []string
	Selected    bool // in some repositories only
	Suspended   time.Time
}

// A Grant is a fine-grained token's access to an organisation.
type Grant struct {
	ID                         int64
	Name, Owner                string
	Selected                   bool
	Organisation, Repository   map[string]string // permissions
	Granted, Expires, LastUsed time.Time
}

// A Team is a team of an organisation.
type Team struct {
	Slug         string
	Members      []string
	Repositories map[string]string // full name → permission
}

// A Collaborator may do something in a repository.
type Collaborator struct {
	Login, Role string
}

// A Run is a workflow run.
type Run struct {
	ID, Number           int64
	Path                 string // of the workflow
	Event, Branch, SHA   string
	Conclusion           string
	Created              time.Time
	Attempts             []Attempt // at least one
	Artifacts            []Artifact
	Gone                 bool // logs have expired
	Fork                 bool // of a pull request from a fork
	Actor, Workflow, For string
}

// An Attempt is one try of a run.
type Attempt struct {
	Started time.Time
	Jobs    []Job
}

// A Job is one of an attempt.
type Job struct {
	ID         int64
	Name       string
	Runner     string // "" is one of GitHub's
	Labels     []string
	Conclusion string
	Steps      []Step
}

// A Step is one of a job, with what it printed.
type Step struct {
	Name, Log string
}

// An Artifact is what a run left.
type Artifact struct {
	ID      int64
	Name    string
	Files   map[string]string
	Expired bool
	Created time.Time
}

// A Cache is what jobs keep for later ones.
type Cache struct {
	ID, Size      int64
	Key, Ref      string
	Created, Used time.Time
}

// An Activity is what somebody did to a ref.
type Activity struct {
	ID                 int64
	Type               string // push, force_push, branch_creation, branch_deletion, pr_merge
	Ref, Before, After string
	Actor              string
	At                 time.Time
}

// An Issue is an issue or a pull request.
type Issue struct {
	Number            int64
	Title, Body, User string
	Pull              bool
	Closed            bool
	Comments          []Comment
	Reviews           []Comment
	ReviewComments    []Comment
	Updated           time.Time
}

// A Comment is what somebody said of something.
type Comment struct {
	ID         int64
	Body, User string
	Path       string // of the file it is about, if it is
	Commit     string
	Updated    time.Time
}

// A Release is one with its files.
type Release struct {
	ID              int64
	Tag, Name, Body string
	Draft           bool
	Assets          []Asset
}

// An Asset is a file of a release.
type Asset struct {
	ID      int64
	Name    string
	Content []byte
}

// A Package is one in a registry.
type Package struct {
	ID         int64
	Name, Type string
	Visibility string
	Versions   int
	Repository string // full name; "" for none
}

// A Gist is one of a user.
type Gist struct {
	ID, Description string
	Secret          bool
	Files           map[string]string
	Comments        []Comment
	Dir             string // bare git repository
	Updated         time.Time
}

// When everything in a fake was made and last changed, unless it says otherwise.
var (
	Created = time.Date(2025, 3, 1, 8, 0, 0, 0, time.UTC)
	Updated = time.Date(2026, 2, 1, 9, 30, 0, 0, time.UTC)
)
