#!/bin/bash
# Network of a test node, in place of kindnetd, which is not to be had as a Go module.
#
# Runs as DaemonSet kube-system/kindnet on the host network (the name is kind's: it waits for it). It does three
# things: writes the node's CNI configuration, keeps one static route for each other node (its pods' subnet by its
# address), and masquerades what leaves the cluster. It needs bash, ip, iptables and the node's own kubectl.
set -uo pipefail
: "${NODE_NAME:?}" "${POD_SUBNET:?}" "${CONTROL_PLANE_ENDPOINT:?}"

account=/var/run/secrets/kubernetes.io/serviceaccount
configuration=/etc/cni/net.d/10-kindnet.conflist
masquerade=(POSTROUTING -s "$POD_SUBNET" ! -d "$POD_SUBNET" -m comment --comment kindnet -j MASQUERADE)

# One line for each node now and after every change: NAME SUBNET ADDRESS. Ends when the API closes the watch.
watch_nodes() {
  kubectl --server="https://$CONTROL_PLANE_ENDPOINT" --certificate-authority="$account/ca.crt" \
    --token="$(cat "$account/token")" get nodes --watch -o \
    'jsonpath={.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}'
}

# Containerd takes a new file as soon as it appears, so it appears whole.
write_configuration() { # SUBNET
  local text
  text=$(cat <<JSON
{"cniVersion": "0.4.0", "name": "kindnet", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
            "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "$1"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  )
  [ "$(cat "$configuration" 2>/dev/null)" = "$text" ] && return
  printf '%s\n' "$text" >"$configuration.tmp" && mv "$configuration.tmp" "$configuration" && echo "wrote $configuration for $1"
}

trap 'kill $(jobs -p) 2>/dev/null; exit 0' TERM INT
declare -A address_of
while :; do
  iptables -w -t nat -C "${masquerade[@]}" 2>/dev/null || iptables -w -t nat -A "${masquerade[@]}"
  while :; do
    # Every 5 s without news the routes are looked at: disconnecting a node from its network takes them away.
    if read -r -t 5 name subnet address; then
      [ -n "$subnet" ] && [ -n "$address" ] || continue
      if [ "$name" = "$NODE_NAME" ]; then write_configuration "$subnet"; else address_of[$subnet]=$address; fi
    elif [ $? -le 128 ]; then
      break
    fi
    for subnet in "${!address_of[@]}"; do
      case "$(ip route show "$subnet")" in
        "$subnet via ${address_of[$subnet]} "*) ;;
        *) ip route replace "$subnet" via "${address_of[$subnet]}" 2>/dev/null && echo "$subnet via ${address_of[$subnet]}" ;;
      esac
    done
  done < <(watch_nodes)
  sleep 2 &
  wait $!
done
