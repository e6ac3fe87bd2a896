package main

import "context"

func (l *lab) parity(_ context.Context, _ []string) error { return nil }
