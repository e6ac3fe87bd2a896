package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// decode reads JSON. Its errors say where in the document what was expected is not.
func decode(doc []byte, into any) error {
	err := json.Unmarshal(doc, into)
	var wrong *json.UnmarshalTypeError
	var broken *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		found, _, _ := strings.Cut(wrong.Value, " ") // a number is followed by its digits
		what := "the document"
		if wrong.Field != "" {
			what = strings.TrimPrefix(wrong.Field, ".")
		}
		return fmt.Errorf("%s: %s is %s, and has to be %s", position(doc, wrong.Offset), what, kinds[found], kindOf(wrong.Type))
	case errors.As(err, &broken):
		return fmt.Errorf("%s: not JSON: %w", position(doc, broken.Offset), err)
	}
	return err
}

// kinds are what encoding/json calls the values of a document.
var kinds = map[string]string{"object": "an object", "array": "a list", "string": "a text", "number": "a number", "bool": "true or false"}

// kindOf is the kind of values that a type takes.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return kinds["array"]
	case reflect.String:
		return kinds["string"]
	case reflect.Bool:
		return kinds["bool"]
	}
	return kinds["object"]
}

// position is where the byte before an offset is.
func position(doc []byte, offset int64) string {
	before := doc[:max(0, min(int(offset)-1, len(doc)))]
	return fmt.Sprintf("line %d, column %d", bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n'))
}
