package openfga_test

import (
	"testing"

	_ "deputy/authz"
	"github.com/google/go-cmp/cmp"
	"github.com/openfga/openfga/pkg/server"
	"github.com/openfga/openfga/pkg/storage/memory"
	"github.com/openfga/openfga/tests/check"
	"github.com/openfga/openfga/tests/listobjects"
	"github.com/openfga/openfga/tests/listusers"
	"pgregory.net/rapid"
)

var _ = cmp.Diff
var _ = rapid.Int
var _ = server.NewServerWithOpts
var _ = memory.New

func TestCheck(t *testing.T)       { check.RunAllTests(t, nil) }
func TestMatrix(t *testing.T)      { check.RunMatrixTests(t, "memory", "off", nil) }
func TestListObjects(t *testing.T) { listobjects.RunAllTests(t, nil) }
func TestListUsers(t *testing.T)   { listusers.RunAllTests(t, nil) }
