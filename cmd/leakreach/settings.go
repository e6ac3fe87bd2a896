package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers"
)

// fileSettings is the part of a --config file that is not gitleaks' own: defaults for flags, what may be asked of forges, and what verification may touch.
type fileSettings struct {
	Leakreach struct {
		Flags  map[string]any `toml:"flags"`
		Limits limits         `toml:"limits" json:"-"` // of each process, not of a run
		Verify struct {
			Accounts       []string `toml:"accounts"`        // the user's own AWS accounts: keys of others are not called
			CanaryAccounts []string `toml:"canary_accounts"` // accounts of planted keys
			CanaryKeys     []string `toml:"canary_keys"`     // planted key ids
			Registries     []string `toml:"registries"`      // container registries that may be asked, beside the public ones
			Profiles       []string `toml:"profiles"`        // of the AWS configuration, with an auditor's credentials
		} `toml:"verify"`
	} `toml:"leakreach"`
}

// limits are what may be asked of forges.
type limits struct {
	GitHub int `toml:"github_budget"` // percent of the API's quota that is ours; 0 is the default
	GitLab int `toml:"gitlab_budget"`
	Online int `toml:"online_budget"` // requests that --online may send in a run; 0 is the default
}

// read takes from the environment what is set there, and checks all.
func (l *limits) read(getenv func(string) string) error {
	for name, budget := range map[string]*int{"github_budget": &l.GitHub, "gitlab_budget": &l.GitLab} {
		given := *budget != 0
		if v := getenv("LEAKREACH_" + strings.ToUpper(name)); v != "" {
			given = true
			*budget, _ = strconv.Atoi(v)
		}
		if given && (*budget < 1 || *budget > 100) {
			return audit.Hint(fmt.Errorf("%w: %s is not a percentage from 1 to 100", audit.ErrUsage, name), "it is what a scan may use up of an API's quota; 60 is the default")
		}
	}
	given := l.Online != 0
	if v := getenv("LEAKREACH_ONLINE_BUDGET"); v != "" {
		given = true
		l.Online, _ = strconv.Atoi(v)
	}
	if given && l.Online < 1 {
		return audit.Hint(fmt.Errorf("%w: online_budget is not a number of requests from 1 on", audit.ErrUsage), fmt.Sprintf("it is how many --online may send in a run; %d is the default", providers.DefaultOnline))
	}
	return nil
}

// maxConfig bounds a configuration file, in bytes; the default rules are 100 kB.
const maxConfig = 8 << 20

// readSettings reads the configuration file's own part and fills each flag that was not given: from its LEAKREACH_ variable, else
// from the file. It returns the file's content too, for the rules in it.
func readSettings(cmd *cobra.Command, getenv func(string) string, path *string) (fileSettings, []byte, error) {
	var file fileSettings
	if err := fromEnv(cmd.Flags().Lookup("config"), getenv); err != nil {
		return file, nil, err
	}
	var content []byte
	if *path != "" {
		var err error
		if content, err = readConfig(*path); err != nil {
			return file, nil, err
		}
		if err := toml.Unmarshal(content, &file); err != nil {
			return file, nil, audit.Hint(fmt.Errorf("%w: reading configuration %s: %w", audit.ErrUsage, *path, err),
				"it must be a TOML file in gitleaks' format; flag defaults go into [leakreach.flags]")
		}
	}
	errs := []error{file.Leakreach.Limits.read(getenv)}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err := fromEnv(f, getenv); err != nil {
			errs = append(errs, err)
		}
		if v, ok := file.Leakreach.Flags[f.Name]; ok && !f.Changed && f.Annotations[onlyGiven] == nil {
			errs = append(errs, set(f, "configuration "+*path, list(v)...))
		}
	})
	for name := range file.Leakreach.Flags {
		if cmd.Flags().Lookup(name) == nil {
			errs = append(errs, fmt.Errorf("%w: configuration %s: no flag %q", audit.ErrUsage, *path, name))
		}
	}
	return file, content, errors.Join(errs...)
}

// readConfig reads a configuration file that the user named; a pipe will do.
func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	var content []byte
	if err == nil {
		defer f.Close()
		content, err = readSmall(f)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading configuration: %w", audit.ErrUsage, err)
	}
	return content, nil
}

// readOwn reads a file of a working tree, which may come from anyone: what is no regular file could block or never end. The content
// is nil if there is none.
func readOwn(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	return readSmall(f)
}

func readSmall(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err == nil && len(content) > maxConfig {
		err = fmt.Errorf("larger than %d MiB", maxConfig>>20)
	}
	return content, err
}

// onlyGiven marks flags that are set on the command line alone.
const onlyGiven = "only given"

// givenOnly has neither a variable nor a file set a flag.
func givenOnly(f *pflag.FlagSet, name string) {
	f.Lookup(name).Annotations = map[string][]string{onlyGiven: {}}
}

// fromEnv sets a flag that was not given from its variable: --fail-on from LEAKREACH_FAIL_ON.
func fromEnv(f *pflag.Flag, getenv func(string) string) error {
	name := "LEAKREACH_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
	if v := getenv(name); v != "" && !f.Changed && f.Name != "help" && f.Annotations[onlyGiven] == nil {
		values := []string{v}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(v, ",")
		}
		return set(f, name, values...)
	}
	return nil
}

// list is a value of a file, or all of a list of them, as a command line has them.
func list(value any) (values []string) {
	if many, ok := value.([]any); ok {
		for _, v := range many {
			values = append(values, fmt.Sprint(v))
		}
		return values
	}
	return []string{fmt.Sprint(value)}
}

func set(f *pflag.Flag, source string, values ...string) error {
	for _, v := range values {
		if err := f.Value.Set(v); err != nil {
			return fmt.Errorf("%w: setting --%s from %s: %w", audit.ErrUsage, f.Name, source, err)
		}
	}
	f.Changed = true
	return nil
}

// choice is a flag value out of a closed list.
type choice struct {
	value   *string
	allowed []string
}

func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}
func (c choice) Type() string { return strings.Join(c.allowed, "|") }
func (c choice) Set(v string) error {
	for _, a := range c.allowed {
		if v == a {
			*c.value = v
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", v, strings.Join(c.allowed, ", "))
}
