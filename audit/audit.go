// Package audit holds the words and the contracts of leakreach: what a target, an item, a finding, a gap, a secret and a
// verdict are, and what a provider, a scanner and a verifier promise. It is plain data and standard library only, so that
// every other package can speak in its terms without knowing the others.
//
// A newcomer starts with [Provider], [Scanner] and [Verifier]; the report every run ends in is [Run].
package audit

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Provider lists where secrets and weaknesses can lie. It only reads.
//
// Both methods yield an error of type [*Gap] for what could not be looked at and go on; any other error is the last thing
// they yield. An error that wraps [ErrAuth], [ErrUsage] or [ErrNothing] decides the exit code. A provider stops promptly when
// ctx is cancelled or the consumer breaks off, and leaves no goroutine, process or file behind.
type Provider interface {
	// Name is the scheme of the refs it reads, such as "github".
	Name() string
	// Targets turns a ref, given without its scheme, into units of work, in a stable order.
	Targets(ctx context.Context, ref string) iter.Seq2[Target, error]
	// Items lists what can be read in a target that Targets yielded, or in the one of its parts that Target.Part names. Contents come
	// first; items of kind [KindPlace], which say where contents listed before them lie, come last. Between them may be an item of
	// kind [KindChoice].
	//
	// A provider that can tell in what state a target is names it by an item of kind [KindState]. As long as it is the one of Target.Past, it may
	// yield one item of kind [KindUnchanged] instead of all that it listed then.
	Items(ctx context.Context, t Target) iter.Seq2[Item, error]
}

// A Resumer is a provider whose listing of targets can go on where an earlier one ended.
type Resumer interface {
	Provider
	// TargetsAfter is Targets from the page on that a cursor of an earlier target stands for: see [Target]. Some targets may come again.
	TargetsAfter(ctx context.Context, ref, cursor string) iter.Seq2[Target, error]
}

// A Reader is a provider that can list single contents of a target again.
type Reader interface {
	Provider
	// Objects yields contents by the ids that Items listed them with, as far as they can still be had.
	Objects(ctx context.Context, t Target, ids []string) iter.Seq2[Item, error]
}

// A Selective provider reads only those sources of a target that it was asked for.
type Selective interface {
	Provider
	// LeftOut are the sources that the target may have and that were not asked for.
	LeftOut(Target) Sources
}

// A Planner is a provider that tells what a scan would cost.
type Planner interface {
	Provider
	// Plan yields what listing a ref's targets and their items will take, as far as it is known beforehand. It asks for nothing that the plan
	// itself does not need. Errors are as in Provider.
	Plan(ctx context.Context, ref string) iter.Seq2[Cost, error]
}

// A Checker is a provider that tells what its credentials may.
type Checker interface {
	Provider
	// Check yields what a scan of ref needs and whether it is there: the host, a credential, requests left, git, and the right that each part
	// takes; and what is granted in excess. It reads a sample of each kind of thing. No token is in what it yields. Errors are as in Provider.
	Check(ctx context.Context, ref string) iter.Seq2[Check, error]
	// Environment yields which host and credentials the environment chooses. It sends nothing.
	Environment() iter.Seq2[Check, error]
}

// A Scanner tells what is wrong with an item. It is a pure function of the item and its content: no network, disk or clock, and
// nothing that one call leaves for the next changes what that answers. It is called from several goroutines at once, never panics
// whatever the content, and keeps neither content nor a slice of it.
type Scanner interface {
	// Rules lists all the scanner can report, found or not.
	Rules() []Rule
	// Wants tells, from kind, path and name alone, whether Scan should see the item's content.
	Wants(Item) bool
	// Scan reports what is broken in content. What it could not look at, such as an encrypted archive member, is a gap.
	// Locations carry what is known from the content (line, column); the engine adds the item's own place to them.
	Scan(it Item, content []byte) ([]Finding, []Gap)
}

// A Joiner is a scanner whose findings can belong together although they were found apart, such as an access key id in one
// file and its secret in another. The engine calls Join once per target with all the scanner found there, and once at
// the end of the run with what lay in CI variables and secrets of any target. Candidate findings (see [Finding].Candidate) that no
// join took up are dropped by the engine.
type Joiner interface {
	Scanner
	Join([]Finding) []Finding
}

// A Surveyor is a scanner that also judges what takes several things to see: a secret that no workflow uses, an environment
// without a wall that holds secrets. The engine calls Survey once, when all targets are scanned.
type Surveyor interface {
	Scanner
	// Survey is given each target of the run with all that was found there, sorted by the target's name, so that an organisation or group comes
	// before what it holds; what a [Resolver] learned comes first, without a target. It is a pure function of them and of now, the time at which the run began. It keeps no more of a target than it must:
	// there may be a hundred thousand. Findings have at least one location, with its Target.
	Survey(now time.Time, holdings iter.Seq[Holding]) []Finding
}

// A Resolver learns what stands behind what pipelines name: which commit a tag of other people's code is today, which roles of a cloud trust them.
type Resolver interface {
	// Resolve is given what Survey is, once, when all targets are scanned, and yields what it has learned as entries of kind [KindComponent], [KindRole] or [KindTrust], of
	// which surveyors then judge. What it could not learn is a [Gap] of a target that it is about, or of the account; any other error is the last thing it yields.
	Resolve(ctx context.Context, holdings iter.Seq[Holding]) iter.Seq2[Entry, error]
}

// A Holding is a target with what is known of it. What could not be looked at is a gap: what a gap may hide is never judged to be missing.
type Holding struct {
	Coverage  Coverage
	Inventory []Entry
	Findings  []Finding // of secrets, without values
	Gaps      []Gap
}

// A Verifier learns what a found secret can still do, by reads only.
type Verifier interface {
	// Kinds lists the secret kinds it can judge.
	Kinds() []string
	// Verify returns a verdict; a refused secret is a verdict. An error means that no verdict was reached, and the engine
	// reports validity unknown with that error. It is called at most once per secret and run.
	Verify(ctx context.Context, s *Secret) (Verdict, error)
}

// Env is all that a plug-in takes from the world outside its arguments.
type Env struct {
	HTTP      *http.Client        // time-outs and proxies are set; plug-ins wrap its transport, never replace it
	Getenv    func(string) string // never nil
	Environ   func() []string     // all of it, as NAME=VALUE; nil where nobody may see it
	Log       *slog.Logger        // never nil; writes to stderr
	Stdin     io.Reader           // for the ref "-"
	UserAgent string              // "leakreach/VERSION"
	Calls     *Calls              // counts requests per API; never nil
	Now       func() time.Time    // never nil
	Memory    Memory              // what the run may take
	Rules     string              // a digest of all that decides what scanners say of a content
	Quotas    Quotas              // of the forges' APIs; nil where nobody shares them
	Cache     Cache               // of what was fetched
}

// A Cache is a directory for what was fetched from forges, so that the next run need only fetch what is new.
type Cache struct {
	Dir  string // "" for none: what is fetched is dropped. Only its owner may read it: it has what the repositories have
	Size int64  // that it may have, in bytes
}

// A Quota is what an API grants to one credential, or to one resource of it, for some time.
type Quota struct {
	API        string // as in Calls
	Host       string
	Credential string // a digest of it, or ""
	Resource   string // what the API counts separately, such as GitHub's "core" and "graphql"; "" for all
	Budget     int    // percent of it that are ours; the rest is left to people
}

// Quotas are counted by all that send requests with the same credentials, on whatever machine.
type Quotas interface {
	// Take takes a request out of a quota. While nothing is left of it, or only what is left to people, nothing is taken, and until says how long.
	Take(ctx context.Context, q Quota) (until time.Time, err error)
	// Told notes what the answer to a request that was taken said: how much is granted and left until when.
	Told(ctx context.Context, q Quota, limit, remaining int, reset time.Time) error
	// Refused notes that the API asked for a pause.
	Refused(ctx context.Context, q Quota, until time.Time) error
}

// Errors that decide the exit code when a provider or the configuration ends with them.
var (
	ErrUsage   = errors.New("usage")             // exit 2: a ref or setting is malformed
	ErrNothing = errors.New("nothing to scan")   // exit 3: the ref exists and is empty, or does not exist
	ErrAuth    = errors.New("not authenticated") // exit 4: no credential, or rights are missing for the whole ref
)

// Hint attaches advice to an error: one line on what to do next, printed on a line of its own.
func Hint(err error, advice string) error { return &hintError{err, advice} }

type hintError struct {
	error
	advice string
}

func (e *hintError) Unwrap() error { return e.error }

// HintOf returns the advice attached to err by [Hint], or "".
func HintOf(err error) string {
	var h *hintError
	if errors.As(err, &h) {
		return h.advice
	}
	return ""
}

// A Target is one unit of work: a repository, an organisation's settings, a directory.
type Target struct {
	Name string     // stable and unique, a ref itself: "github:acme/web"
	Kind TargetKind // what it is
	URL  string     // its web address, if it has one
	Own  bool       // a working tree of the user's own, whose ignore comments and files are honoured
	// Attrs carry what Items needs beyond the name, such as a clone address. Never a secret.
	Attrs map[string]string

	// Parts are what of the target can be read apart from the rest, most telling first. Without any, it is read at once.
	Parts []Part
	Part  Part // which one is asked for

	// What the listing tells already, as far as it does: it decides in which order targets are scanned.
	Size   int64     // of its contents, in bytes
	Pushed time.Time // when something was last changed
	// State stands for the contents as they were listed, if the forge promises that it changes with them; else "".
	State string
	// Cursor stands for the page that comes next in the listing, for a [Resumer]; "" if there is none.
	Cursor string `json:"-"`
	// Past is the state that the provider named when the target, or that part of it, was last scanned whole by the same rules; "" if it was not.
	Past string `json:"-"`
}

// A Part of a target is one job of its own.
type Part string

// The parts of a target.
const (
	PartSettings Part = "settings" // few requests to the forge's API
	PartContents Part = "contents" // all that git keeps
	PartRuns     Part = "runs"     // what pipelines left behind: logs, artifacts
	PartTexts    Part = "texts"    // what people wrote and published beside git: issues, comments, releases
)

// TargetKind says what a target is; it is the kind of its coverage row.
type TargetKind string

// The kinds of targets.
const (
	TargetRepository   TargetKind = "repository"
	TargetDirectory    TargetKind = "directory"
	TargetStream       TargetKind = "stream"
	TargetOrganisation TargetKind = "organisation"
	TargetUser         TargetKind = "user" // settings of a user's own, which their repositories share
	TargetGroup        TargetKind = "group"
	TargetInstance     TargetKind = "instance"
	TargetWiki         TargetKind = "wiki" // a repository's, where that is a git repository of its own
	TargetGist         TargetKind = "gist" // a person's, which is a git repository
	TargetJob          TargetKind = "job"  // the CI job that this process runs in
)

// An Item is one readable thing in a target. Exactly one of Content and Open is set where there is something to read.
type Item struct {
	Kind ItemKind
	At   Location // where it lies; findings in it inherit all fields that they do not set themselves
	Size int64    // bytes, as far as known

	// Object identifies the content where it was listed before its places are known, such as a git object id; "" otherwise.
	Object string
	// Prev is, for a KindPlace, the object that the place held before; "" if it held none.
	Prev string
	// Choose lets the consumer say, in a KindChoice and before it takes the next item, which places it wants to have listed.
	// Without a call it gets all of them.
	Choose func(Choice)

	// Content is lent until Done is called: an interrupted run may still be reading it when the listing has ended.
	Content []byte
	Done    func()
	// Open reads the content once. The engine calls it only if a scanner wants the item. A reader that has it in memory may have a
	// method Bytes() []byte: what that returns is not copied, and not to be changed.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Origin leads from a place in the content to the one that people know, where the two differ: a log is scanned without the times and colours
	// that its lines have, and its steps have addresses of their own. Where it is nil, they do not differ. Of what lies in a container inside the
	// content ("!" in the path) the line is the member's.
	Origin func(Location) Location

	// Lock is, beside a workflow of GitHub's, the content of the lock file that GitHub runs it by, as of the same commit or working tree; nil if there is none.
	Lock []byte

	// State is, for a KindState or KindUnchanged, what the provider knows the state of the target by. Never a secret.
	State string

	// Known says why a credential in the item is none that somebody left there, such as the token that the runner gave to the job: findings are
	// suppressed with it. Nil where they count.
	Known *Suppression

	// Entry is the item's line in the report's inventory, or nil. There are too many logs and artifacts to list: that of one which has a content
	// stands there if something was found in it, or if it could not be read.
	Entry *Entry
	// Silencer is what the provider left out because the target asks for it, or nil. An item may be nothing else.
	Silencer *Silencer
}

// ItemKind says what an item is.
type ItemKind string

// The kinds of items. Forge settings are items too, with their JSON as content.
const (
	KindFile        ItemKind = "file"        // content of a file; At.Path is "" where places follow
	KindPlace       ItemKind = "place"       // says that the content Object lies at At; opens to that content
	KindChoice      ItemKind = "choice"      // nothing to read: all contents with an Object were listed, and their places can be chosen
	KindState       ItemKind = "state"       // nothing to read: in what State the target is listed
	KindUnchanged   ItemKind = "unchanged"   // nothing to read: all is as it was in Target.Past, which is now called State; nothing follows
	KindKept        ItemKind = "kept"        // nothing to read: all that Target.Past had still holds, and only what is new to it follows
	KindCommit      ItemKind = "commit"      // a commit, tag or note as git stores it: message, names
	KindPaths       ItemKind = "paths"       // file names, one a line
	KindNames       ItemKind = "names"       // what an item is called and what its facts say, one a line; the engine makes it of each
	KindVariable    ItemKind = "variable"    // a CI variable with its value as content
	KindSecret      ItemKind = "secret"      // a CI secret: a name, no content
	KindEnvironment ItemKind = "environment" // a deployment environment
	KindRunner      ItemKind = "runner"      // a CI runner
	KindRunnerGroup ItemKind = "runner-group"
	KindSettings    ItemKind = "settings"   // what a forge allows in a place: an organisation, a repository, a group, a project
	KindProtection  ItemKind = "protection" // rules that guard branches or tags
	KindWorkflow    ItemKind = "workflow"   // the definition of a pipeline as it is on the default branch
	KindJob         ItemKind = "job"        // of a pipeline, once for each way in which it is called
	KindDeployKey   ItemKind = "deploy-key"
	KindHook        ItemKind = "webhook"
	KindApp         ItemKind = "app"       // an installed application
	KindToken       ItemKind = "token"     // what is known of a token of somebody's, without its value
	KindSchedule    ItemKind = "schedule"  // a pipeline schedule or trigger
	KindRun         ItemKind = "run"       // a run of a pipeline
	KindLastRun     ItemKind = "last-run"  // of a definition or a job: when it last ran, of those runs that were read
	KindLog         ItemKind = "log"       // what a job printed
	KindArtifact    ItemKind = "artifact"  // what a job left
	KindCache       ItemKind = "cache"     // what jobs keep for later ones
	KindText        ItemKind = "text"      // what a person wrote: an issue, a comment, a release
	KindPackage     ItemKind = "package"   // something in a registry, by name
	KindStream      ItemKind = "stream"    // standard input
	KindAction      ItemKind = "action"    // code of somebody's that a runner has fetched for a job
	KindMetadata    ItemKind = "metadata"  // a service that hands a machine the credentials of its role
	KindRole        ItemKind = "role"      // of a cloud that a job can become by its own identity: see [Resolver]
	KindTrust       ItemKind = "trust"     // a cloud's role that lets tokens of pipelines in: which of a target's jobs become it without a review, or what it lets in of an issuer's that is too much
	KindComponent   ItemKind = "component" // somebody's code that pipelines name by a git ref, with what that stands for: see [Resolver]
)

// A Choice says which places of contents are wanted: a history has a thousand times more of them than findings. What it does not
// take in may be listed all the same.
type Choice struct {
	Objects []string               // all places of these
	Again   []string               // objects that scanning said anything about: a provider that remembers what it has listed lists these again; nil has it remember nothing
	Path    func(path string) bool // and whatever lies at such a path; it is asked until the listing ends
}

// An Entry is one line of the inventory: what exists, whether or not its content can be read.
type Entry struct {
	Target string            `json:"target"`
	Kind   ItemKind          `json:"kind"`
	Name   string            `json:"name"`
	Scope  string            `json:"scope"` // organisation, user, repository, environment NAME, instance, group, project, group PATH
	Facts  map[string]string `json:"facts,omitempty"`
}

// maxNames is how many names a list in a fact has: what is to be told apart by it is whether they are few or many.
const maxNames = 500

// NameList is a list of names as a fact has it. Names come from outside: those that would read as several, or as none, are left out.
func NameList(names []string) string {
	var all []string
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, ",\r\n") {
			continue
		}
		if len(all) == maxNames {
			all = append(all, "…")
			break
		}
		all = append(all, name)
	}
	return strings.Join(all, ",")
}

// SomeNames is the NameList of names of which there may be more.
func SomeNames(names []string) string {
	list := NameList(names)
	if strings.HasSuffix(list, "…") {
		return list
	}
	return strings.TrimPrefix(list+",…", ",")
}

// Table is a table as a fact has it: a row a line, with tabs between its columns. Those in a text, and ends of lines, become spaces.
func Table(rows ...[]string) string {
	var lines []string
	for _, row := range rows {
		cells := slices.Clone(row)
		for i, c := range cells {
			cells[i] = strings.Join(strings.FieldsFunc(c, func(r rune) bool { return r == '\t' || r == '\n' || r == '\r' }), " ")
		}
		lines = append(lines, strings.Join(cells, "\t"))
	}
	return strings.Join(lines, "\n")
}

// Rows are those of a [Table] that have as many columns as are asked for.
func Rows(table string, columns int) (rows [][]string) {
	for line := range strings.SplitSeq(table, "\n") {
		if row := strings.Split(line, "\t"); len(row) == columns && table != "" {
			rows = append(rows, row)
		}
	}
	return rows
}

// A Cost is what a scan will take of one API or host, for one of its sources.
type Cost struct {
	Source Sources // 0 for listing targets
	Host   string
	Quota  string // what the API counts separately, as in [Quota]; "" for what it does not count
	Calls  int    // requests expected
	Bytes  int64  // to be received
	Limit  int    // requests that the quota grants in an hour, and are ours; 0 if that is not known
	Left   int    // of those, now
	Logged string // entries that it leaves in the forge's logs; "" for none that its documentation tells of
	Note   string // what the figures rest on, and what is left out
}

// A Check is one thing that a scan needs, mostly a right, or a right that it does not need.
type Check struct {
	For      string     // what of the scan: "organisation secrets"
	Sources  Sources    // those that need it; 0 for all
	Needs    string     // the right, as the forge calls it: "Secrets: read (organisation)"
	State    CheckState // whether it is granted
	Evidence string     // what says so: "403, needs secrets=read"
	Fix      string     // one line; "" if there is nothing to do
}

// CheckState says how a right stands.
type CheckState string

// The states of a right.
const (
	Granted  CheckState = "granted"
	Missing  CheckState = "missing"
	Excess   CheckState = "excess"   // granted, and no scan needs it
	Unproven CheckState = "unproven" // there was nothing to try it on, or no answer
)

// A Gap is something that could not be looked at, and why. It is an error so that providers can yield it.
type Gap struct {
	Target string `json:"target"`
	What   string `json:"what"`
	Why    string `json:"why"`
	// Again says that the next listing asks again for what is missing, although it keeps all else, see [KindKept].
	Again bool `json:"-"`
}

func (g *Gap) Error() string { return g.What + ": " + g.Why }
