package openfga_test

import (
	"testing"

	"github.com/openfga/openfga/tests/check"
	"github.com/openfga/openfga/tests/listobjects"
	"github.com/openfga/openfga/tests/listusers"
)

func TestCheck(t *testing.T)       { check.RunAllTests(t, newClient()) }
func TestMatrix(t *testing.T)      { check.RunMatrixTests(t, "authz/fga", "off", newClient()) }
func TestListObjects(t *testing.T) { listobjects.RunAllTests(t, newClient()) }
func TestListUsers(t *testing.T)   { listusers.RunAllTests(t, newClient()) }
