package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// certify writes a certificate of that number and its key.
func certify(t *testing.T, dir string, number int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := &x509.Certificate{SerialNumber: big.NewInt(number), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, text, text, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(1_700_000_000+number, 0)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestCertificatesAreReadAnew(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		cert, key := certify(t, dir, 1)
		conf, err := TLS(cert, key, slog.New(slog.NewTextHandler(&said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if conf.MinVersion != tls.VersionTLS12 {
			t.Errorf("TLS from %x", conf.MinVersion)
		}
		number := func() int64 {
			pair, err := conf.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return pair.Leaf.SerialNumber.Int64()
		}
		certify(t, dir, 2)
		time.Sleep(lookAgain)
		if n := number(); n != 2 {
			t.Errorf("after a renewal: number %d", n)
		}
		// Half of a renewal: the old one serves on.
		if err := os.WriteFile(key, []byte("soon"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookAgain)
		if n := number(); n != 2 || !strings.Contains(said.String(), "the old one is used") {
			t.Errorf("half a renewal: number %d, %s", n, said.String())
		}
		certify(t, dir, 3)
		time.Sleep(lookAgain)
		if n := number(); n != 3 {
			t.Errorf("the other half: number %d", n)
		}
	})
	if _, err := TLS(filepath.Join(dir, "none"), filepath.Join(dir, "key.pem"), slog.Default()); err == nil {
		t.Error("a certificate that is not there was taken")
	}
}
