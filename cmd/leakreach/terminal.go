package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// terminalSize tells whether w is a terminal and how many columns it has.
func terminalSize(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, true
	}
	return width, true
}

// colored decides on colour as the conventions say: --color, then NO_COLOR, FORCE_COLOR and CLICOLOR_FORCE, then the terminal.
func (o *scanOptions) colored(w world, terminal bool) bool {
	switch {
	case o.color != "auto":
		return o.color == "always"
	case w.getenv("NO_COLOR") != "":
		return false
	case w.getenv("FORCE_COLOR") != "" && w.getenv("FORCE_COLOR") != "0", w.getenv("CLICOLOR_FORCE") != "" && w.getenv("CLICOLOR_FORCE") != "0":
		return true
	}
	return terminal && w.getenv("TERM") != "dumb"
}
