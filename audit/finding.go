package audit

import (
	"slices"
	"time"
)

// A Finding is a rule broken at one or more places. The JSON form is part of leakreach.run/v1.
type Finding struct {
	ID        string     `json:"id"`
	Rule      string     `json:"rule"`
	Category  Category   `json:"category"`
	Severity  Severity   `json:"severity"`
	Title     string     `json:"title"`
	Message   string     `json:"message"`
	Locations []Location `json:"locations"`
	Secret    *Secret    `json:"secret,omitempty"`
	Verdict   *Verdict   `json:"verdict,omitempty"`
	Reach     *Reach     `json:"reach,omitempty"`
	Fix       []string   `json:"fix"`
	// Stakes are set where the severity follows from what a job holds, or from what a secret opens.
	Stakes *Stakes `json:"stakes,omitempty"`
	// Suppressed says who silenced the finding and why; nil for one that counts.
	Suppressed *Suppression `json:"suppressed"`
	// Change says how the finding stands to the other of two runs that were compared; "" where none were.
	Change Change `json:"change,omitempty"`

	// Keep decides, for a finding in a content whose path was not known when it was scanned (see [KindPlace]), whether it
	// stands at loc; nil keeps it everywhere. It must be safe for concurrent use.
	Keep func(loc Location) bool `json:"-"`
	// Candidate marks half a finding, such as a string that may be the secret of an access key: it is reported only if a
	// [Joiner] takes it up.
	Candidate bool `json:"-"`
}

// Stakes are the severities of a finding that lets somebody at what a job holds or can become, or at a secret, by what that is. Where it may administer an account, the
// finding is critical, and where it may write there, one step worse than Some, but for what is low, which is medium in both.
type Stakes struct {
	None Severity `json:"none"` // nothing that opens anything
	Some Severity `json:"some"` // a secret, a token that writes, or an identity, of which no more is known
}

// Category groups rules.
type Category string

// The categories.
const (
	CategorySecret   Category = "secret"
	CategoryPipeline Category = "pipeline"
	CategoryRunner   Category = "runner"
	CategorySetting  Category = "setting"
	CategoryCloud    Category = "cloud"
	CategoryExposure Category = "exposure"
	CategoryActivity Category = "activity"
)

// Severity of a finding, or of a rule's findings before more is known.
type Severity string

// The severities.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Rank orders severities: 4 for critical down to 0 for info, -1 for none of them.
func (s Severity) Rank() int {
	return slices.Index([]Severity{Info, Low, Medium, High, Critical}, s)
}

// A Location is one place a finding lies at.
type Location struct {
	Target    string       `json:"target"`
	Kind      LocationKind `json:"kind"`
	Path      string       `json:"path,omitempty"` // slash-separated, relative to the target; "outer.zip!member" inside containers
	Line      int          `json:"line,omitempty"` // 1-based
	EndLine   int          `json:"end_line,omitempty"`
	Column    int          `json:"column,omitempty"` // 1-based, in bytes
	EndColumn int          `json:"end_column,omitempty"`
	Commit    string       `json:"commit,omitempty"`
	Ref       string       `json:"ref,omitempty"`
	Name      string       `json:"name,omitempty"` // of a variable; of a part of a git object, such as "message"; of a job and step
	URL       string       `json:"url,omitempty"`
	// Environment is the one that a variable is for, or a pattern of such as "review/*"; "" for all of them, and where the forge tells by URL.
	Environment string    `json:"environment,omitempty"`
	At          time.Time `json:"at,omitzero"` // author date of the commit, update time of the variable

	Rules      []string `json:"rules,omitempty"`      // what matched here, by its own id: the configuration's rule ids
	Encoding   []string `json:"encoding,omitempty"`   // how the value was hidden, outermost first: "base64", "utf-16"
	InHead     bool     `json:"in_head,omitempty"`    // the value is in the checked-out or default branch's tree
	Introduced bool     `json:"introduced,omitempty"` // the earliest known appearance of the value in the target
	Author     string   `json:"-"`                    // for matching only; personal data stays out of reports
	Object     string   `json:"object,omitempty"`     // git object id of the content
	Lines      uint64   `json:"-"`                    // digest of the lines the match lies on: has this place been touched?
}

// LocationKind says what a location is a place in.
type LocationKind string

// The kinds of locations.
const (
	InFile     LocationKind = "file"   // a file as it is now
	InCommit   LocationKind = "commit" // history: a file as of a commit, or the commit's own text (no path)
	InVariable LocationKind = "variable"
	InSecret   LocationKind = "secret"
	InLog      LocationKind = "log"
	InArtifact LocationKind = "artifact"
	InRunner   LocationKind = "runner"
	InWorkflow LocationKind = "workflow"
	InCloud    LocationKind = "cloud"
	InSetting  LocationKind = "setting" // of an organisation, a repository, a group, a project
	InText     LocationKind = "text"    // an issue, a comment, a release, a page
)

// A Suppression says what silenced a finding.
type Suppression struct {
	By     string `json:"by"`     // comment, ignore-file, baseline, provider (see [Item].Known)
	Reason string `json:"reason"` // "gitleaks:allow", ".gitleaksignore:12"
}

// Change says how a finding of one of two runs stands to the other one.
type Change string

// The changes.
const (
	ChangeNew    Change = "new"       // the earlier run does not have it
	ChangeNone   Change = "unchanged" // both have it
	ChangeGone   Change = "gone"      // the later one does not have it, and looked wherever it lay
	ChangeUnseen Change = "unseen"    // the later one does not have it, and did not look everywhere
)

// A Rule is one thing a scanner can report. Its text is the documentation: `leakreach rules ID`, SARIF help and docs/rules
// are printed from it.
type Rule struct {
	ID       string
	Title    string // what is wrong, as a short phrase
	Help     string // why it matters and how to mend it; Markdown
	Category Category
	Severity Severity // before verification
	CWE      int      // 798 for hard-coded credentials; 0 for none
	// Confidence says how often a finding is what its title says, where that is not nearly always: "" is as good as high.
	Confidence Confidence
	Fix        []string // steps, most important first
	// Generic marks a rule that knows no token shape; where it and another rule find the same value, the other one names it.
	Generic bool
}

// Validity says whether a secret works.
type Validity string

// The validities.
const (
	Active    Validity = "active"
	Inactive  Validity = "inactive"
	Unknown   Validity = "unknown"   // asked, no answer
	Unchecked Validity = "unchecked" // not asked
	Canary    Validity = "canary"    // planted to be touched; never called
)

// Confidence in a rule's findings.
type Confidence string

// Confidences below high, which is nearly always.
const (
	MediumConfidence Confidence = "medium" // mostly: it goes by signs, such as what a command is known to do
	LowConfidence    Confidence = "low"    // it says where to look
)

// A Verdict is what a verifier learned about a secret.
type Verdict struct {
	Validity  Validity          `json:"validity"`
	How       string            `json:"how"` // offline, owner, live
	CheckedAt time.Time         `json:"checked_at,omitzero"`
	Identity  *Identity         `json:"identity,omitempty"`
	Facts     map[string]string `json:"facts,omitempty"`
	Error     string            `json:"error"`

	Reach *Reach `json:"-"` // what the secret opens; the engine puts it beside the verdict
}

// An Identity is who a credential acts as.
type Identity struct {
	ARN     string `json:"arn,omitempty"`
	Account string `json:"account,omitempty"` // twelve digits
	Type    string `json:"type,omitempty"`    // user, role, root, federated
	Level   Level  `json:"level,omitempty"`   // in the run's list of identities
}

// Level is the highest thing an identity may do.
type Level string

// The levels, from the highest.
const (
	LevelAdmin      Level = "admin"
	LevelEscalation Level = "escalation" // can make itself admin
	LevelWrite      Level = "write"
	LevelRead       Level = "read"
	LevelNone       Level = "none"
	LevelUnknown    Level = "unknown"
)

// Rank orders what is known of levels: higher levels have higher ranks, and what is not known the lowest.
func (l Level) Rank() int {
	return slices.Index([]Level{LevelUnknown, LevelNone, LevelRead, LevelWrite, LevelEscalation, LevelAdmin}, l)
}

// Reach is what a secret or identity leads to.
type Reach struct {
	Level    Level    `json:"level"`
	Accounts []string `json:"accounts"`
	Paths    []Path   `json:"paths"`
	Limits   []string `json:"limits"` // what could not be read, and which way that bends the answer
}

// A Path is one proven way to a level.
type Path struct {
	Level Level  `json:"level"`
	Steps []Step `json:"steps"`
}

// A Step is one edge of a path, with what proves it.
type Step struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Edge     string `json:"edge"` // holds, is, may, assumes
	Evidence string `json:"evidence"`
}
