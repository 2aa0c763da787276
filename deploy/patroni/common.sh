# Read by the scripts: the cluster's variables, this machine's, and the secrets. A folder other than this one can be
# named by CONFIGURATION.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
configuration=${CONFIGURATION:-$here}
. "$configuration/node.env"
. "$configuration/secrets.env"
. "$here/cluster.env"
