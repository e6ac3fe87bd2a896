//go:build !unix || solaris || illumos || aix

package pack

import (
	"errors"
	"os"
)

func mapFile(*os.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmap([]byte) {}

func forget([]byte) {}
