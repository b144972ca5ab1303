-- Argo CD's health of a FilerPairOperation.
for _, one in ipairs((obj.status or {}).conditions or {}) do
  if one.status == "True" and one.type == "Failed" then
    -- It is in Git, and was created again after its time was over: what it asks for has been done.
    if one.reason == "AlreadyCarriedOut" then return { status = "Healthy", message = one.message } end
    return { status = "Degraded", message = one.message }
  end
  if one.status == "True" and one.type == "Complete" then return { status = "Healthy", message = one.message } end
end
return { status = "Progressing", message = "Waiting for its end." }
