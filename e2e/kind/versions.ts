/** Which versions make up the test cluster. Everything that is built is cached by these. */

export const KUBERNETES = 'v1.36.4';
export const KIND = 'v0.33.0';
export const HELM = 'v4.3.1';
export const CONTAINERD = 'v2.3.4';
export const CNI_PLUGINS = 'v1.9.1';
/** The tags below are the ones that kubeadm of this Kubernetes asks for; the module versions are in go-modules/. */
export const ETCD_IMAGE = 'registry.k8s.io/etcd:3.6.8-0';
export const COREDNS_IMAGE = 'registry.k8s.io/coredns/coredns:v1.14.2';
export const PAUSE = '3.10.2';
export const PAUSE_IMAGE = `registry.k8s.io/pause:${PAUSE}`;
/** Publishes names in the tests of names (e2e/names). The last one whose every module the Go module proxy serves. */
export const EXTERNAL_DNS = 'v0.21.0';
/** Enforces NetworkPolicies where the test cluster's network does not (e2e/admission). */
export const NETWORK_POLICIES = 'v0.8.0';
/** Of the definitions; the programs' versions are in go-modules/. */
export const SNAPSHOTTER_CLIENT = 'v8.7.0';
/** Release of Debian that the node image is made of. */
export const DEBIAN = 'bookworm';
/** The node image as its makers publish it; taken when a registry can be reached. */
export const PUBLISHED_NODE_IMAGE = `kindest/node:${KUBERNETES}`;
