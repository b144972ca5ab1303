-- Argo CD's health of a FilerShare.
local function condition(kind)
  for _, one in ipairs((obj.status or {}).conditions or {}) do
    if one.type == kind then return one end
  end
  return {}
end

local function health(status, one)
  return { status = status, message = one.message or "Waiting for the server." }
end

local ready, accepted = condition("Ready"), condition("Accepted")
if accepted.status == "False" then return health("Degraded", accepted) end
if ready.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the server." }
end
if ready.status == "True" then return health("Healthy", ready) end
if ready.status == "False" then return health("Degraded", ready) end
return health("Progressing", ready)
